"""Locate bytes that are invalid in the encoding of a file, and guess the actual encoding."""

import codecs
import re
from typing import BinaryIO

from tutelage.errors import EncodingError

HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
LONGEST_RUN = 2  # of non-ASCII bytes, in languages written in windows-1252
AROUND = 2_000  # bytes to look at
CYRILLIC = 0xC0  # start of the letters in windows-1251
MOSTLY = 0.95


class DecodedText:
    """The decoded text of a file from its current position, block by block.

    A block with an invalid byte is decoded in its likely encoding, so that other problems of its rows can be
    reported too; the next call raises EncodingError.
    """

    def __init__(self, file: BinaryIO, name: str, encoding: str) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes, self._lines = file.tell(), 0  # before the last block
        self._block = b""
        self._fault: EncodingError | None = None

    def read(self, size: int) -> str:
        """Return the text of about `size` bytes; "" at the end."""
        if self._fault is not None:
            raise self._fault
        while True:
            self._bytes += len(self._block)
            self._lines += _count_lines(self._block)
            self._block = self._file.read(size)
            try:
                text = self._decoder.decode(self._block, final=not self._block)
            except UnicodeDecodeError as fault:
                return self._likely_text(fault)
            if text or not self._block:
                return text

    def _likely_text(self, fault: UnicodeDecodeError) -> str:
        pending = len(fault.object) - len(self._block)  # bytes of a character begun in an earlier block
        line = self._lines + _count_lines(fault.object[: fault.start]) + 1
        offset = self._bytes - pending + fault.start
        self._fault = not_of_encoding(self._name, line, offset, self._encoding, fault)
        return fault.object.decode(self._fault.likely, "replace")


def not_of_encoding(
    name: str, line: int, offset: int, encoding: str, fault: UnicodeDecodeError
) -> EncodingError:
    """Return the error for an invalid byte, with the likely encodings."""
    first, *others = likely_encodings(fault.object[max(0, fault.start - AROUND) : fault.start + AROUND])
    return EncodingError(
        f"{name}:{line}: byte {offset:,} (0x{fault.object[fault.start]:02x}) is not valid"
        f" {encoding.upper()}. Save the file as UTF-8, or set its encoding: --set data.encoding={first} (or"
        f" {', '.join(others)}).",
        likely=first,
    )


def likely_encodings(text: bytes) -> list[str]:
    """Return possible encodings of some bytes, most likely first."""
    runs = HIGH_BYTES.findall(text)
    high = b"".join(runs)
    if sum(len(run) <= LONGEST_RUN for run in runs) >= len(runs) / 2:
        return ["windows-1252", "latin-1", "windows-1250"]
    if sum(byte >= CYRILLIC for byte in high) > len(high) * MOSTLY:
        return ["windows-1251", "koi8-r", "windows-1252"]
    asian = [name for name in ("shift_jis", "gb18030", "euc-kr", "big5") if _decodes(text, name)]
    kana = sum(byte in (0x82, 0x83) for byte in high) > len(high) / 5
    if not kana and "shift_jis" in asian:
        asian.append(asian.pop(asian.index("shift_jis")))
    return [*asian, "windows-1252", "windows-1251"]


def _decodes(text: bytes, encoding: str) -> bool:
    for cut in range(4):  # the excerpt may begin and end inside a character
        for end in range(4):
            try:
                text[cut : len(text) - end].decode(encoding)
            except UnicodeDecodeError:
                continue
            return True
    return False


def _count_lines(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
