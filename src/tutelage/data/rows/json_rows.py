"""Read JSON and JSON lines strictly, row by row through a window, tracking the position of each row.

Strict means that it guesses nothing: no NaN, repeated keys, trailing commas or bytes invalid in the encoding.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

from tutelage.codes import Message
from tutelage.data.rows.json_layouts import WRAPPERS, name_in_beginning, rows_by_layout
from tutelage.data.rows.records import NO_LIMIT, Record
from tutelage.data.rows.text_window import BLOCK_BYTES, EXCERPT_CHARACTERS, TextWindow, excerpt_of
from tutelage.errors import DataError

# A value cut by the end of the window fails at most this far before it, inside an escape or a literal.
LONGEST_CUT_TOKEN = 16
MOST_LEVELS = 64  # nested lists and objects in one row
MOST_DIGITS = 4_300  # of a number, as in Python
BEGINNING = 2**16  # characters of an object in which the key `data` is searched
MOST_KEYS = 100_000  # keys checked for repetition in an object that is too large for a row
INSIDE_TEXT = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
CHARACTERS_AT_ONCE = 2**16
LONGEST_ESCAPE = 6
MARK = "\ufeff"
NOT_READ = object()  # replaces a value that is larger than a row may be
T = TypeVar("T")


def read_json_rows(
    file: BinaryIO,
    name: str,
    *,
    encoding: str = "utf-8",
    block: int = BLOCK_BYTES,
    max_row_bytes: int = NO_LIMIT,
    tell: Callable[[Message], None] = lambda message: None,
) -> Iterator[Record]:
    """Yield the records of a JSON array, `{"data": [...]}`, a data frame by column, or JSON lines.

    The layout is detected from the content, not the file name. The file position is after the byte-order mark,
    if any. A row above `max_row_bytes` has a size but no value; it is read as strictly as the others, in
    pieces, and never held in memory as a whole.
    """
    rows = _Rows(TextWindow(file, name, encoding, block), max_row_bytes)
    rows.text.skip_space()
    if rows.text.ended:
        raise DataError(
            "data.no_rows",
            f"{name} is empty. Give a file with at least one row of instruction and output.",
        )
    if rows.text.next() == "[":
        yield from rows.listed()
        return
    lone = rows.lone_object()
    if _levels_of(lone) <= MOST_LEVELS and (found := rows_by_layout(lone)):
        tell(
            Message(
                "data.rows_by_column",
                f"The file stores its {len(found):,} rows by column, and was read that way.",
            )
        )
        yield from (Record(row, None, value) for row, value in enumerate(found))
    elif key := rows.wrapper(lone):
        yield from rows.wrapped(key)
    else:
        yield from rows.objects()
        if rows.marks:
            told = f"{rows.marks:,} byte-order marks between rows were skipped."
            tell(Message("data.byte_order_mark", told))


class _Rows:
    """The rows of one file, and the number of complete rows so far, which error messages include."""

    def __init__(self, text: TextWindow, limit: int) -> None:
        self.text, self._limit = text, limit
        self._whole = 0
        self.marks = 0  # byte-order marks between rows, from concatenated files

    def listed(self) -> Iterator[Record]:
        """Read a list, and require that nothing follows it."""
        yield from self._elements(self._record)
        self._require_end("the list")

    def wrapped(self, name: str) -> Iterator[Record]:
        """Read the list under a key of one object, and require that nothing follows the object."""
        for key in self._members(level=1):
            if key == name and self.text.next() == "[":
                yield from self._elements(self._record)
            else:
                self._value(level=1)
        self._require_end(f"the object whose `{name}` holds the rows")

    def objects(self) -> Iterator[Record]:
        """Read objects one by one, each starting on a new line."""
        text = self.text
        while not text.ended:
            if text.next() == MARK:
                text.at += 1
                self.marks += 1
                text.skip_space()
                continue
            yield self._record()
            end = text.at
            if text.skip_space(forgets=False) and "\n" not in text.seen[end : text.at]:
                raise self._malformed(text.at, "expected a new line after the row")
            text.forget()

    def lone_object(self) -> Any:
        """Return the value at the cursor if nothing follows it and it is not too large for a row."""
        try:
            decoded = self._decoded()
        except DataError:
            return None  # a later error can say how many complete rows precede it
        if decoded is None or not self.text.only_space_after(decoded[1]):
            return None
        return decoded[0]

    def wrapper(self, lone: Any) -> str | None:
        """Return the key under which a single object has the rows; `lone` is that object, if it was read.

        An object that is too large for a row, or faulty, is judged by its beginning alone.
        """
        if isinstance(lone, dict):
            return next((name for name in WRAPPERS if isinstance(lone.get(name), list)), None)
        with suppress(DataError):
            if self._decoded() is not None:
                return None  # more follows
        return self._name_in_beginning()

    def _name_in_beginning(self) -> str | None:
        text, length = self.text, max(min(self._limit, 2**31), BEGINNING)
        with suppress(DataError):  # encoding errors are raised when reading gets there
            while len(text.seen) - text.at < length and not text.is_whole:
                text.extend()
        return name_in_beginning(text.seen[text.at : text.at + length], text.name, STRICT_DECODER)

    def _require_end(self, of: str) -> None:
        self.text.skip_space()
        if not self.text.ended:
            raise self._malformed(self.text.at, f"there is more text after {of}")

    def _record(self) -> Record:
        row, text = self._whole, self.text
        line, offset = text.measure()
        value = self._value(level=0)
        size = text.measure()[1] - offset
        self._whole = row + 1
        if value is NOT_READ or size > self._limit:
            return Record(row, line, None, offset, size, was_read=False)
        return Record(row, line, value, offset, size)

    def _value(self, *, level: int) -> Any:
        """Read the value at the cursor and move past it; `level` is the number of enclosing lists and objects.

        A value that is too large for a row is skipped in pieces and replaced with NOT_READ.
        """
        text = self.text
        decoded = self._decoded()
        if decoded is not None:
            value, end = decoded
            is_flat = (
                text.seen.count("{", text.at, end) + text.seen.count("[", text.at, end) <= MOST_LEVELS - level
            )
            if is_flat or level + _levels_of(value) <= MOST_LEVELS:
                text.at = end
                return value
        if text.next() == '"':
            self._skip_text()
        elif text.next() not in ("[", "{"):
            raise self._malformed(
                text.at, f"a number has more than {MOST_DIGITS:,} digits", code="data.not_strict_json"
            )
        elif level == MOST_LEVELS:
            raise self._malformed(
                text.at, f"a value is nested too deeply, {MOST_LEVELS} levels", code="data.not_strict_json"
            )
        elif text.next() == "[":
            for _ in self._elements(lambda: self._value(level=level + 1)):
                pass
        else:
            for _ in self._members(level=level + 1):
                self._value(level=level + 1)
        return NOT_READ

    def _decoded(self) -> tuple[Any, int] | None:
        """Return the value at the cursor and its end; None if it is too large for a row or nested very deeply.

        The window is extended as long as the end of the value may be missing.
        """
        text = self.text
        while True:
            try:
                value, end = _scan(text.seen, text.at)
            except StopIteration as fault:  # raised by the scanner with the position
                self._require_cut(fault.value, "Expecting value")
            except json.JSONDecodeError as fault:
                self._require_cut(fault.pos, fault.msg)
            except RecursionError:
                return None
            except ValueError as fault:
                raise self._malformed(text.at, str(fault), code="data.not_strict_json") from fault
            else:
                if end < len(text.seen) or text.is_whole:
                    return value, end
            seen = len(text.seen) - text.at
            if seen > max(self._limit, MOST_DIGITS):
                return None
            text.extend(seen)  # doubling, so that the total time stays linear

    def _require_cut(self, position: int, what: str) -> None:
        text = self.text
        is_near_the_end = position >= len(text.seen) - LONGEST_CUT_TOKEN
        if text.is_whole or not (is_near_the_end or what.startswith("Unterminated string")):
            raise self._malformed(position, what)

    def _elements(self, read: Callable[[], T]) -> Iterator[T]:
        """Yield the result of `read` for each element of the list at the cursor, and move past the list."""
        text = self.text
        text.at += 1
        found = text.skip_space()
        while found not in ("]", ""):
            yield read()
            found = text.skip_space()
            if found != ",":
                break
            comma = text.at
            text.at += 1
            found = text.skip_space(forgets=False)  # keep the position of the comma
            if found == "]":
                raise self._malformed(comma, "there is a comma before the closing bracket")
            text.forget()
        if not found:
            raise self._malformed(text.at, "the file ends inside the list; was it cut off?")
        if found != "]":
            raise self._malformed(text.at, "expected a comma or a closing bracket")
        text.at += 1

    def _members(self, *, level: int) -> Iterator[Any]:
        """Yield each key of the object at the cursor; the caller must move past its value before the next key."""
        text = self.text
        text.at += 1
        text.skip_space()
        keys: set[Any] = set()
        while text.next() != "}" or keys:
            if text.next() != '"':
                raise self._malformed(text.at, "Expecting property name enclosed in double quotes")
            key = self._value(level=level)
            if key in keys and key is not NOT_READ:
                raise self._malformed(text.at, _describe_repeated_key(key), code="data.not_strict_json")
            if len(keys) < MOST_KEYS:
                keys.add(key)
            text.skip_space()
            if text.next() != ":":
                raise self._malformed(text.at, "Expecting ':' delimiter")
            text.at += 1
            text.skip_space()
            yield key
            text.skip_space()
            if text.next() == "}":
                break
            if text.next() != ",":
                what = (
                    "the file ends inside an object; was it cut off?"
                    if text.ended
                    else "Expecting ',' delimiter"
                )
                raise self._malformed(text.at, what)
            text.at += 1
            text.skip_space()
            text.forget()
        text.at += 1

    def _skip_text(self) -> None:
        """Move past the string at the cursor, as strictly as the decoder."""
        text = self.text
        text.at += 1
        while True:
            found = INSIDE_TEXT.match(text.seen, text.at, text.at + CHARACTERS_AT_ONCE)
            assert found is not None  # it also matches the empty string
            is_stuck = found.end() == text.at
            text.at = found.end()
            text.forget()
            if text.next() == '"':
                text.at += 1
                return
            if is_stuck and (text.is_whole or len(text.seen) - text.at >= LONGEST_ESCAPE):
                what = "Invalid \\escape" if text.next() == "\\" else "Invalid control character at"
                raise self._malformed(text.at, "Unterminated string" if text.ended else what)
            if len(text.seen) - text.at < LONGEST_ESCAPE and not text.is_whole:
                text.extend()

    def _malformed(self, position: int, what: str, *, code: str = "data.malformed_json") -> DataError:
        text, rows = self.text, self._whole
        line, column = text.place(position)
        whole = "row comes" if rows == 1 else "rows come"
        before = f" {rows:,} complete {whole} before it." if rows else ""
        near = excerpt_of(text.seen[max(0, position - EXCERPT_CHARACTERS // 2) :][:EXCERPT_CHARACTERS])
        return DataError(
            code,
            f"{text.name}:{line}:{column}: malformed JSON: {what}, near {near!r}.{before} Fix the file"
            " there.",
            row=rows,
        )


def _levels_of(value: Any) -> int:
    """Return the nesting depth of lists and objects."""
    levels, inside = 0, [value]
    while inside := [one for one in inside if isinstance(one, list | dict)]:
        levels += 1
        inside = [inner for one in inside for inner in (one.values() if isinstance(one, dict) else one)]
    return levels


def _raise_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(_describe_repeated_key(next(key for key, count in counts.items() if count > 1)))
    return value


def _describe_repeated_key(key: str) -> str:
    return f"the key {excerpt_of(key)!r} appears twice in one object"


STRICT_DECODER = json.JSONDecoder(parse_constant=_raise_constant, object_pairs_hook=_check_keys)
_scan: Any = vars(STRICT_DECODER)["scan_once"]  # the function that raw_decode calls


def strict_json(text: str) -> Any:
    """Parse JSON text inside a row as strictly as the row; raise ValueError if it is invalid."""
    try:
        value = STRICT_DECODER.decode(text.strip())
    except RecursionError as fault:
        raise ValueError(f"a value is nested too deeply, more than {MOST_LEVELS} levels") from fault
    if text.count("{") + text.count("[") > MOST_LEVELS and _levels_of(value) > MOST_LEVELS:
        raise ValueError(f"a value is nested too deeply, more than {MOST_LEVELS} levels")
    return value
