"""Run users' regular expressions with a time limit: patterns like (a+)+$ can take practically forever."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

SEARCH_SECONDS = 1.0
# Literal in `re` but special in `regex`: a brace that is no repetition, and a bracket inside a set.
_LITERAL_BRACE = re.compile(r"\{(?!\d*,?\d*\})")
_PARTS = re.compile(r"\\N\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[]+|.", re.DOTALL)


class PatternTimeoutError(Exception):
    """Raised if a search takes longer than `SEARCH_SECONDS`."""

    def __init__(self, pattern: str) -> None:
        super().__init__(f"the regular expression {pattern!r} searched for more than {SEARCH_SECONDS:g} s")
        self.pattern = pattern


@dataclass(frozen=True)
class BoundedPattern:
    """A user's pattern, compiled for searches with a time limit."""

    pattern: str
    compiled: Any

    def search(self, text: str) -> bool:
        """Return whether the pattern occurs in a text; raise PatternTimeoutError if that takes too long."""
        return self._is_found(self.compiled.search, text)

    def fullmatch(self, text: str) -> bool:
        """Return whether the pattern matches a whole text; raise PatternTimeoutError if that takes too long."""
        return self._is_found(self.compiled.fullmatch, text)

    def _is_found(self, find: Any, text: str) -> bool:
        try:
            return find(text, timeout=SEARCH_SECONDS) is not None
        except TimeoutError as fault:
            raise PatternTimeoutError(self.pattern) from fault


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> BoundedPattern:
    """Compile a pattern in `re` syntax to run in `regex`, which has timeouts; raise re.error if it is invalid."""
    try:
        re.compile(pattern)
        compiled = regex.compile("".join(map(_as_in_re, _PARTS.findall(pattern))), regex.V0)
    except (regex.error, RecursionError, OverflowError) as fault:
        raise re.error(str(fault), pattern) from fault
    return BoundedPattern(pattern, compiled)


def _as_in_re(part: str) -> str:
    if part.startswith("\\"):
        return part
    if part.startswith("[") and len(part) > 1:
        return "[" + part[1:].replace("\\[", "[").replace("[", "\\[")
    return _LITERAL_BRACE.sub(r"\\{", part)
