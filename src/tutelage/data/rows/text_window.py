"""A window on a text file: the visible part, a cursor, and its line and byte position."""

import codecs
import re
from typing import BinaryIO

from tutelage.data.rows.encodings import not_of_encoding
from tutelage.errors import DataError

EXCERPT_CHARACTERS = 60
BLOCK_BYTES = 2**20
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def excerpt_of(text: str) -> str:
    """Return the beginning of a text for a message."""
    return text[:EXCERPT_CHARACTERS].strip()


def bytes_of(text: str, encoding: str) -> int:
    """Return the size of a text in bytes in an encoding, without its byte-order mark."""
    return len(text.encode(encoding)) - len("".encode(encoding))


def takes_ascii(encoding: str) -> bool:
    """Return whether ASCII characters take one byte in an encoding, as in nearly all."""
    return bytes_of("a", encoding) == 1


class TextWindow:
    """The visible part of a text file and a cursor in it; text before the cursor may be dropped.

    The file position is after the byte-order mark, if any.
    """

    def __init__(self, file: BinaryIO, name: str, encoding: str, block: int = BLOCK_BYTES) -> None:
        self.seen, self.at, self.is_whole = "", 0, False
        self.name, self.encoding, self.block = name, encoding, block
        self._line, self._column = 1, 1  # position of the first visible character
        # Line and byte of a position that only increases, so that the text is scanned once although each row
        # asks for both.
        self._measured, self._measured_line, self._measured_bytes = 0, 1, file.tell()
        self._file = file
        self._takes_ascii, self._mark = takes_ascii(encoding), len("".encode(encoding))
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes_read, self._lines_read = self._measured_bytes, 0
        self._fault: DataError | None = None
        self.extend()

    @property
    def ended(self) -> bool:
        """Whether the cursor is at the end of the visible text."""
        return self.at >= len(self.seen)

    def next(self) -> str:
        """Return the character at the cursor; "" at the end."""
        return self.seen[self.at : self.at + 1]

    def extend(self, at_least: int = 0) -> None:
        """Read more of the file; an invalid byte raises an error once all text before it has been read."""
        if self._fault is not None:
            raise self._fault
        block = self._file.read(max(self.block, at_least))
        pending = len(self._decoder.getstate()[0])
        try:
            self.seen += self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as fault:
            self.seen += fault.object[: fault.start].decode(self.encoding)
            self._fault = self._refused(block, fault, self._bytes_read - pending + fault.start)
            return
        self._bytes_read += len(block)
        self._lines_read += block.count(b"\n")
        self.is_whole = not block

    def skip_space(self, *, forgets: bool = True) -> str:
        """Move to the next character that is not whitespace, reading more if necessary, and return it."""
        while True:
            found = WHITE_SPACE.match(self.seen, self.at)
            assert found is not None  # it also matches the empty string
            self.at = found.end()
            if self.at < len(self.seen) or self.is_whole:
                return self.seen[self.at : self.at + 1]
            if forgets:
                self.forget()
            self.extend(0 if forgets else len(self.seen))  # doubling, so that the total time stays linear

    def only_space_after(self, position: int) -> bool:
        """Return whether only whitespace follows a position; the cursor does not move, and no text is dropped."""
        while True:
            found = WHITE_SPACE.match(self.seen, position)
            assert found is not None  # as above
            position = found.end()
            if position < len(self.seen) or self.is_whole:
                return position == len(self.seen)
            self.extend(len(self.seen))

    def forget(self) -> None:
        """Drop the text before the cursor, if it is long enough to matter."""
        if self.at < self.block:
            return
        self.measure()
        self._line, self._column = self.place(self.at)
        self.seen = self.seen[self.at :]
        self.at = self._measured = 0

    def measure(self) -> tuple[int, int]:
        """Return the line number at the cursor, and the number of bytes before it."""
        passed = self.seen[self._measured : self.at]
        self._measured_line += passed.count("\n")
        self._measured_bytes += (
            len(passed)
            if self._takes_ascii and passed.isascii()
            else len(passed.encode(self.encoding)) - self._mark
        )
        self._measured = self.at
        return self._measured_line, self._measured_bytes

    def place(self, position: int) -> tuple[int, int]:
        """Return line and column of a position in the visible text."""
        line_begin = self.seen.rfind("\n", 0, position) + 1
        column = position - line_begin + 1 if line_begin else self._column + position
        return self._line + self.seen.count("\n", 0, position), column

    def _refused(self, block: bytes, fault: UnicodeDecodeError, offset: int) -> DataError:
        if self.encoding.startswith("utf-16"):
            return DataError(
                "data.wrong_encoding",
                f"{self.name} starts like UTF-16 but is damaged at byte {offset:,}. Save the file as UTF-8.",
            )
        line = self._lines_read + block.count(b"\n", 0, max(0, offset - self._bytes_read)) + 1
        return not_of_encoding(self.name, line, offset, self.encoding, fault)
