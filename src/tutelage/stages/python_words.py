"""Errors in the words of a program: the options that a message names become the keywords that stand for them.

A message says what to do as it is typed on the command line. Commands as a whole, in backquotes, stay as they are.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tutelage.errors import TutelageError

COMMAND = re.compile(r"(`tutelage [^`]*`)")
AT_FRONT = r"(?<![^\s(`'\"])"  # of a word: what stands inside of one, as in a folder's name, is no option
SETTING = re.compile(AT_FRONT + r"--(?:set \w+\.)?(?P<name>\w+)=(?P<value>[^\s,;]*[^\s,;.])", re.ASCII)
MAP = re.compile(AT_FRONT + r"--map (?P<field>\w+)=(?P<name>[^\s,;]*[^\s,;.])")
NUMBER_OR_FLAG = re.compile(r"-?\d[\d.e-]*|true|false|\.\.\.|…")
KEYWORDS = {
    "overwrite": "overwrite=True",
    "allow-changes": "allow_changes=True",
    "new": "another output=",
    "data": "the first argument",
    "to": "target",
    "judge": "judges=",
}
PHRASES = {
    " (--set)": "",
    "run the same command": "make the same call",
    "Run the same command": "Make the same call",
    "give the same command": "make the same call",
    "in the same command": "in the same call",
}
OPTION = re.compile(AT_FRONT + r"--([a-z][a-z-]*)")
HANDED_OVER = r"[/\\]rows-[0-9a-f]{12}\.jsonl"


@contextmanager
def python_words(output: str | Path | None = None) -> Iterator[None]:
    """Word the errors of what is called for a program.

    Rows that it handed over stand in a file of the folder `output` only as long as a run needs them.
    """
    try:
        yield
    except TutelageError as fault:
        told = in_python(str(fault))
        if output is not None:
            told = _without_lost_rows(told, Path(output).expanduser())
        fault.args = (told,)
        raise


def in_python(message: str) -> str:
    """Return a message with keywords in place of the options of the command line."""
    parts = COMMAND.split(message)
    return "".join(part if COMMAND.fullmatch(part) else _with_keywords(part) for part in parts)


def _with_keywords(text: str) -> str:
    text = MAP.sub(lambda found: f'column_map={{"{found["field"]}": "{found["name"]}"}}', text)
    text = SETTING.sub(lambda found: f"{found['name']}={_literal(found['value'])}", text)
    for phrase, instead in PHRASES.items():
        text = text.replace(phrase, instead)
    return OPTION.sub(lambda found: KEYWORDS.get(found[1], f"{found[1].replace('-', '_')}="), text)


def _literal(value: str) -> str:
    if value in ("true", "false"):
        return value.title()
    return value if NUMBER_OR_FLAG.fullmatch(value) else f'"{value}"'


def _without_lost_rows(text: str, root: Path) -> str:
    pattern = re.compile(re.escape(str(root)) + HANDED_OVER)
    return pattern.sub(lambda found: found[0] if Path(found[0]).exists() else "the rows", text)
