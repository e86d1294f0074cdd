"""Validate the fields of a request: each is supported, or ignored if it has no effect, or rejected by name."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.errors import DataError

NOTHING = (None, "", [], {})  # values that request nothing, in any field
LONGEST_NAME = 80
MOST_NAMED = 5


class RequestError(DataError):
    """Raised for an invalid request; `param` is the first invalid field, as in OpenAI's errors."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(code, message)
        self.param = param


@dataclass(frozen=True)
class Wrong:
    """An error in one field; `path` is empty if it concerns the whole request."""

    code: str
    path: str
    words: str


@dataclass(frozen=True)
class Honoured:
    """A supported field: `read` returns its value, and raises ValueError if it is not what `may_be` describes."""

    may_be: str
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Ignored:
    """An unsupported field: `asks_nothing` accepts values without effect, and `why` explains why others are
    rejected.
    """

    asks_nothing: Callable[[Any], bool]
    why: str


def read_fields(
    value: Mapping[str, Any],
    *,
    honoured: Mapping[str, Honoured],
    idle: Mapping[str, Ignored],
    required: Collection[str] = (),
    path: str = "",
) -> tuple[dict[str, Any], list[Wrong]]:
    """Return the values of the supported fields, and errors in all fields.

    A null field counts as absent.
    """
    read: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for name, given in value.items():
        if given is None:
            continue
        place = f"{path}{shown(name)}"
        if name in honoured:
            try:
                read[name] = honoured[name].read(given)
            except ValueError:
                words = f"it must be {honoured[name].may_be}"
                wrong.append(Wrong("serve.unsupported_request", place, words))
        elif name in idle:
            if not idle[name].asks_nothing(given):
                wrong.append(Wrong("serve.not_offered", place, f"{idle[name].why}; leave it out"))
        elif given not in NOTHING:
            wrong.append(Wrong("serve.unknown_field", place, "this server has no such field; leave it out"))
    for name in required:
        if value.get(name) is None:
            words = f"it is required, and must be {honoured[name].may_be}"
            wrong.append(Wrong("serve.unsupported_request", f"{path}{name}", words))
    return read, wrong


def reject(wrong: list[Wrong]) -> None:
    """Raise RequestError if there are errors, with the code and `param` of the first one."""
    if not wrong:
        return
    told = "; ".join(f"{one.path or 'the request'}: {one.words}" for one in wrong[:MOST_NAMED])
    more = f"; and {len(wrong) - MOST_NAMED:,} more" if wrong[MOST_NAMED:] else ""
    raise RequestError(
        wrong[0].code, f"The request cannot be answered: {told}{more}.", param=wrong[0].path or None
    )


def shown(name: str) -> str:
    """Shorten and escape a name chosen by a client."""
    return name[:LONGEST_NAME] if name.isprintable() else repr(name[:LONGEST_NAME])[1:-1]


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def number(lowest: float, highest: float, *, above: bool = False) -> Callable[[Any], float]:
    """Return a reader for numbers from `lowest` to `highest`, excluding the lowest with `above`."""

    def read(value: Any) -> float:
        if not is_number(value) or not lowest <= value <= highest or (above and value == lowest):
            raise ValueError
        return float(value)

    return read


def whole_number(lowest: int, highest: int) -> Callable[[Any], int]:
    """Return a reader for integers; JSON does not distinguish 3 from 3.0, and some languages write the latter."""

    def read(value: Any) -> int:
        if not is_number(value) or not lowest <= value <= highest or int(value) != value:
            raise ValueError
        return int(value)

    return read


def is_number(value: Any) -> bool:
    """Return whether a value is a number, but not a boolean, which Python also counts as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Return a test for membership by type and value: 1 equals 1.0, but not true."""

    def is_one(value: Any) -> bool:
        return any(
            value == one and (type(value) is type(one) or (is_number(value) and is_number(one)))
            for one in values
        )

    return is_one
