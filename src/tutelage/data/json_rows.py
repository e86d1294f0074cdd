"""Our own strict reader of JSON and JSON lines: row by row through a window on the text, each row with its place.

Strict means that nothing is guessed: no NaN, no repeated key, no trailing comma, no bytes that are not of the encoding.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from tutelage.data.records import Record
from tutelage.errors import DataError

EXCERPT_CHARACTERS = 60
BLOCK_BYTES = 2**20
# A value that the window's end cuts fails at its end, or so near that one escape or literal fits between.
LONGEST_CUT_TOKEN = 16
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_rows(
    file: BinaryIO, name: str, *, encoding: str = "utf-8", block: int = BLOCK_BYTES
) -> Iterator[Record]:
    """Yield the records of a JSON array, of `{"data": [...]}`, or of JSON lines: the content decides, not the name.

    The file stands behind its byte-order mark, if it has one.
    """
    text = _Window(file, name, encoding, block)
    first = text.skip_space(0)
    if first == len(text.seen):
        raise DataError(
            "data.no_rows",
            f"{name} is empty. Give a file with at least one row of instruction and output.",
        )
    if text.seen[first] == "[":
        return _array(text, first)
    return _objects(text, first)


def excerpt_of(text: str) -> str:
    """Return the beginning of a text, as a message shows it."""
    return text[:EXCERPT_CHARACTERS].strip()


class _Window:
    """The part of a text file that is being read, and where that part stands in the file."""

    def __init__(self, file: BinaryIO, name: str, encoding: str, block: int) -> None:
        self.seen, self.is_whole = "", False
        self.name, self.encoding = name, encoding
        self.line, self.column = 1, 1  # of the first character that is seen
        self.bytes_before = file.tell()  # what is seen at first
        self.block = block
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes_read, self._lines_read = self.bytes_before, 0
        self.extend()

    def extend(self, at_least: int = 0) -> None:
        """See more of the file."""
        block = self._file.read(max(self.block, at_least))
        pending = len(self._decoder.getstate()[0])
        try:
            self.seen += self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as fault:
            self._refuse_bytes(block, fault, self._bytes_read - pending + fault.start)
        self._bytes_read += len(block)
        self._lines_read += block.count(b"\n")
        self.is_whole = not block

    def _refuse_bytes(self, block: bytes, fault: UnicodeDecodeError, offset: int) -> None:
        if self.encoding.startswith("utf-16"):
            raise DataError(
                "data.wrong_encoding",
                f"{self.name} begins like UTF-16 but is damaged at byte {offset:,}. Save the file as UTF-8.",
            ) from fault
        line = self._lines_read + block.count(b"\n", 0, max(0, offset - self._bytes_read)) + 1
        raise DataError(
            "data.wrong_encoding",
            f"{self.name}:{line}: byte {offset:,} (0x{fault.object[fault.start]:02x}) is not {self.encoding.upper()}."
            " Save the file as UTF-8, or name its encoding with --set data.encoding=…",
        ) from fault

    def forget(self, position: int) -> None:
        """Stop seeing what stands before a position."""
        self.line, self.column = self.place(position)
        self.seen = self.seen[position:]

    def place(self, position: int) -> tuple[int, int]:
        """Return line and column of a position in what is seen."""
        line_begin = self.seen.rfind("\n", 0, position) + 1
        column = position - line_begin + 1 if line_begin else self.column + position
        return self.line + self.seen.count("\n", 0, position), column

    def skip_space(self, position: int) -> int:
        """Return the position of the next character that is no white space, seeing more where it must."""
        while True:
            found = WHITE_SPACE.match(self.seen, position)
            assert found is not None  # it matches nothing as well
            position = found.end()
            if position < len(self.seen) or self.is_whole:
                return position
            self.extend()


class _Places:
    """Line, byte offset and size of rising positions, in one pass over the text."""

    def __init__(self, text: _Window) -> None:
        self._text = text
        self._position, self._line, self._offset = 0, text.line, text.bytes_before

    def go_to(self, position: int) -> tuple[int, int]:
        passed = self._text.seen[self._position : position]
        self._line += passed.count("\n")
        self._offset += len(passed.encode(self._text.encoding))
        self._position = position
        return self._line, self._offset

    def forget(self, position: int) -> None:
        self._text.forget(position)
        self._position -= position


def _array(text: _Window, bracket: int) -> Iterator[Record]:
    """Read an array value by value, so that a fault can say how many whole rows stand before it."""
    places = _Places(text)
    position = text.skip_space(bracket + 1)
    row = 0
    while position < len(text.seen) and text.seen[position] != "]":
        record, end = _record(text, places, position, row)
        yield record
        row += 1
        position = text.skip_space(end)
        if text.seen[position : position + 1] == ",":
            comma, position = position, text.skip_space(position + 1)
            if text.seen[position : position + 1] == "]":
                raise _malformed(text, comma, "a comma stands before the closing bracket", row)
        elif text.seen[position : position + 1] != "]":
            break
        position = _forget_read(text, places, position)
    if position >= len(text.seen):
        raise _malformed(text, position, "the file ends inside the list; was it cut off?", row)
    if text.seen[position] != "]":
        raise _malformed(text, position, "expected a comma or a closing bracket", row)
    rest = text.skip_space(position + 1)
    if rest < len(text.seen):
        raise _malformed(text, rest, "there is more text after the list", row)


def _objects(text: _Window, position: int) -> Iterator[Record]:
    """Read one object after the other, each beginning a line; one lone object may wrap the rows as `data`."""
    places = _Places(text)
    row = 0
    while position < len(text.seen):
        record, end = _record(text, places, position, row)
        position = text.skip_space(end)
        is_last = position == len(text.seen)
        if (
            is_last
            and row == 0
            and isinstance(record.value, dict)
            and isinstance(record.value.get("data"), list)
        ):
            yield from (Record(inner, None, value) for inner, value in enumerate(record.value["data"]))
            return
        yield record
        row += 1
        if not is_last and "\n" not in text.seen[end:position]:
            raise _malformed(text, position, "expected a new line after the row", row)
        position = _forget_read(text, places, position)


def _forget_read(text: _Window, places: _Places, position: int) -> int:
    if position < text.block:
        return position
    places.go_to(position)
    places.forget(position)
    return 0


def _record(text: _Window, places: _Places, position: int, row: int) -> tuple[Record, int]:
    value, end = _decode(text, position, rows_before=row)
    line, offset = places.go_to(position)
    after = places.go_to(end)[1]
    return Record(row, line, value, offset, after - offset), end


def _decode(text: _Window, position: int, *, rows_before: int) -> tuple[Any, int]:
    """Decode the value at a position, seeing more of the file for as long as its end may be what is missing."""
    while True:
        try:
            value, end = STRICT_DECODER.raw_decode(text.seen, position)
        except json.JSONDecodeError as fault:
            may_be_cut = fault.msg.startswith("Unterminated string") or (
                fault.pos >= len(text.seen) - LONGEST_CUT_TOKEN
            )
            if text.is_whole or not may_be_cut:
                raise _malformed(text, fault.pos, fault.msg, rows_before) from fault
        except RecursionError as fault:
            raise _malformed(
                text, position, "the value is nested too deeply", rows_before, code="data.not_strict_json"
            ) from fault
        except ValueError as fault:
            raise _malformed(text, position, str(fault), rows_before, code="data.not_strict_json") from fault
        else:
            if end < len(text.seen) or text.is_whole:
                return value, end
        text.extend(len(text.seen) - position)  # doubling, so that the whole stays linear


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


def _malformed(
    text: _Window, position: int, what: str, rows_before: int, *, code: str = "data.malformed_json"
) -> DataError:
    line, column = text.place(position)
    whole = "row stands" if rows_before == 1 else "rows stand"
    before = f" {rows_before:,} whole {whole} before it." if rows_before else ""
    near = excerpt_of(text.seen[max(0, position - EXCERPT_CHARACTERS // 2) :][:EXCERPT_CHARACTERS])
    return DataError(
        code,
        f"{text.name}:{line}:{column}: malformed JSON: {what}, near {near!r}.{before} Mend the file there.",
        row=rows_before,
    )
