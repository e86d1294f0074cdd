"""Where rows come from: a JSON or JSONL file, the book's file by name, or the starter data of the package."""

import difflib
import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tutelage.errors import DataError
from tutelage.fetching import fetch_url

STARTER = "starter"
INSTRUCTION_DATA = "instruction-data"
INSTRUCTION_DATA_URL = "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json"
INSTRUCTION_DATA_SHA256 = "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944"

MAX_FILE_BYTES = 100 * 2**20
EXCERPT_CHARACTERS = 60


@dataclass(frozen=True)
class Record:
    """One JSON value of a source: its 0-based row, and the line on which it begins (1-based) where that is known."""

    row: int
    line: int | None
    value: Any


@dataclass(frozen=True)
class Source:
    """All records of one file, with what identifies its bytes."""

    name: str
    sha256: str
    records: list[Record]
    notes: list[str]


def read_source(name: str, *, cache: Path) -> Source:
    """Read every record of a source named by path, or by `starter` or `instruction-data`."""
    path = locate_source(name, cache=cache)
    content = path.read_bytes()
    text, notes = _decode(content, path)
    records = list(_parse(text, path))
    if not records:
        raise DataError(f"{path} holds no rows. Give a file with at least one row of instruction and output.")
    return Source(str(name), hashlib.sha256(content).hexdigest(), records, notes)


def locate_source(name: str, *, cache: Path) -> Path:
    """Return the file that a source's name stands for, fetching the book's file once."""
    if name == STARTER:
        return Path(str(resources.files("tutelage.data.starter") / "starter.json"))
    if name == INSTRUCTION_DATA:
        return fetch_url(
            INSTRUCTION_DATA_URL,
            sha256=INSTRUCTION_DATA_SHA256,
            destination=locate_book_file(cache),
            max_bytes=MAX_FILE_BYTES,
        )
    return _check_file(Path(name).expanduser())


def locate_book_file(cache: Path) -> Path:
    """Return where the book's file is kept once it was fetched."""
    return cache / "data" / "instruction-data.json"


def _check_file(path: Path) -> Path:
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as fault:
        raise DataError(f"{path} does not exist.{_nearest_name(path)}") from fault
    except OSError as fault:
        raise DataError(
            f"{path} cannot be read: {fault.strerror}. Check its name and permissions."
        ) from fault
    if stat.S_ISDIR(mode):
        candidates = sorted(entry.name for entry in path.iterdir() if entry.suffix in (".json", ".jsonl"))
        found = f" It contains {', '.join(candidates[:5])}." if candidates else ""
        raise DataError(f"{path} is a folder; data.source takes one JSON or JSONL file.{found}")
    if not stat.S_ISREG(mode):
        # A pipe is waited for without an end, and a device may never stop.
        raise DataError(
            f"{path} is no ordinary file. Save its content to a JSON or JSONL file and name that."
        )
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{path} has {size:,} bytes; files are read up to {MAX_FILE_BYTES:,}. Split it into smaller files."
        )
    return path


def _nearest_name(path: Path) -> str:
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*beside, STARTER, INSTRUCTION_DATA], n=1)
    return f" Did you mean {near[0]}?" if near else " Check the path given as data.source or --data."


def _decode(content: bytes, path: Path) -> tuple[str, list[str]]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16"), ["The file was UTF-16 and was read as such."]
        except UnicodeDecodeError as fault:
            raise DataError(f"{path} begins like UTF-16 but is damaged at byte {fault.start:,}.") from fault
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise DataError(
            f"{path}:{line}: byte {fault.start:,} (0x{content[fault.start]:02x}) is not UTF-8. Save the file as UTF-8."
        ) from fault
    has_mark = content.startswith(b"\xef\xbb\xbf")
    return text, ["The file began with a byte-order mark, which was skipped."] if has_mark else []


def _parse(text: str, path: Path) -> Iterator[Record]:
    """Yield records of a JSON array, of `{"data": [...]}`, or of JSON lines: the content decides, not the name."""
    stripped = text.lstrip()
    if not stripped:
        raise DataError(f"{path} is empty. Give a file with at least one row of instruction and output.")
    if stripped[0] == "<":
        raise DataError(f"{path} holds HTML or XML, not JSON. Was an error page saved in place of the data?")
    if stripped[0] == "[":
        return _parse_array(text, path)
    if stripped[0] != "{":
        raise DataError(
            f"{path} is neither JSON nor JSON lines: it begins with {_excerpt(text, len(text) - len(stripped))!r}."
        )
    return _parse_objects(text, path)


def _parse_array(text: str, path: Path) -> Iterator[Record]:
    """Read an array value by value, so that a fault can say how many whole rows stand before it."""
    position = _skip_space(text, text.index("[") + 1)
    lines = _LineCounter(text)
    row = 0
    while position < len(text) and text[position] != "]":
        value, end = _decode_value(text, position, path, rows_before=row)
        yield Record(row, lines.at(position), value)
        row += 1
        position = _skip_space(text, end)
        if position < len(text) and text[position] == ",":
            comma, position = position, _skip_space(text, position + 1)
            if text[position : position + 1] == "]":
                raise _malformed(text, comma, path, "a comma stands before the closing bracket", row)
        elif text[position : position + 1] != "]":
            break
    if position >= len(text):
        raise _malformed(text, len(text), path, "the file ends inside the list; was it cut off?", row)
    if text[position] != "]":
        raise _malformed(text, position, path, "expected a comma or a closing bracket", row)
    rest = _skip_space(text, position + 1)
    if rest < len(text):
        raise _malformed(text, rest, path, "there is more text after the list", row)


def _parse_objects(text: str, path: Path) -> Iterator[Record]:
    """Read one object after the other, each beginning a line; one lone object may wrap the rows as `data`."""
    first, end = _decode_value(text, _skip_space(text, 0), path, rows_before=0)
    if (
        _skip_space(text, end) == len(text)
        and isinstance(first, dict)
        and isinstance(first.get("data"), list)
    ):
        yield from (Record(row, None, value) for row, value in enumerate(first["data"]))
        return
    position, row = _skip_space(text, 0), 0
    lines = _LineCounter(text)
    while position < len(text):
        value, end = _decode_value(text, position, path, rows_before=row)
        yield Record(row, lines.at(position), value)
        row += 1
        position = _skip_space(text, end)
        if position < len(text) and "\n" not in text[end:position]:
            raise _malformed(text, position, path, "expected a new line after the row", row)


def _decode_value(text: str, position: int, path: Path, *, rows_before: int) -> tuple[Any, int]:
    try:
        return STRICT_DECODER.raw_decode(text, position)
    except json.JSONDecodeError as fault:
        raise _malformed(text, fault.pos, path, fault.msg, rows_before) from fault
    except RecursionError as fault:
        raise _malformed(text, position, path, "the value is nested too deeply", rows_before) from fault
    except ValueError as fault:
        raise _malformed(text, position, path, str(fault), rows_before) from fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return value


STRICT_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys)


def _malformed(text: str, position: int, path: Path, what: str, rows_before: int) -> DataError:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    before = (
        f" {rows_before:,} whole {'row stands' if rows_before == 1 else 'rows stand'} before it."
        if rows_before
        else ""
    )
    near = _excerpt(text, max(0, position - EXCERPT_CHARACTERS // 2))
    return DataError(
        f"{path}:{line}:{column}: malformed JSON: {what}, near {near!r}.{before} Mend the file there."
    )


def _excerpt(text: str, start: int) -> str:
    return text[start : start + EXCERPT_CHARACTERS].strip()


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


class _LineCounter:
    """Line numbers of rising positions, in one pass over the text."""

    def __init__(self, text: str) -> None:
        self._text, self._position, self._line = text, 0, 1

    def at(self, position: int) -> int:
        self._line += self._text.count("\n", self._position, position)
        self._position = position
        return self._line
