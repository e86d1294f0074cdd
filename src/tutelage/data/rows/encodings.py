"""Bytes that are not of the encoding of their file: where they stand, and which encoding they are likely of."""

import codecs
import re
from typing import BinaryIO

from tutelage.errors import EncodingError

HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
LONGEST_RUN = 2  # of bytes beyond ASCII in the languages of windows-1252
AROUND = 2_000  # bytes that are looked at
CYRILLIC = 0xC0  # where the letters of windows-1251 begin
MOSTLY = 0.95


class DecodedText:
    """The text of a file, from where it stands, block by block.

    A block with a byte that is not of the encoding is given as it likely reads, so that what is wrong with its rows can
    be said too; the next call raises EncodingError.
    """

    def __init__(self, file: BinaryIO, name: str, encoding: str) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes, self._lines = file.tell(), 0  # before the block that was read last
        self._block = b""
        self._fault: EncodingError | None = None

    def read(self, size: int) -> str:
        """Return the text of about so many bytes; nothing at the end."""
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
        pending = len(fault.object) - len(self._block)  # bytes of a character that an earlier block began
        line = self._lines + _count_lines(fault.object[: fault.start]) + 1
        offset = self._bytes - pending + fault.start
        self._fault = not_of_encoding(self._name, line, offset, self._encoding, fault)
        return fault.object.decode(self._fault.likely, "replace")


def not_of_encoding(
    name: str, line: int, offset: int, encoding: str, fault: UnicodeDecodeError
) -> EncodingError:
    """Return the error of a byte that is not of the encoding of its file, with those that it is likely of."""
    first, *others = likely_encodings(fault.object[max(0, fault.start - AROUND) : fault.start + AROUND])
    return EncodingError(
        f"{name}:{line}: byte {offset:,} (0x{fault.object[fault.start]:02x}) is not valid"
        f" {encoding.upper()}. Save the file as UTF-8, or set its encoding: --set data.encoding={first} (or"
        f" {', '.join(others)}).",
        likely=first,
    )


def likely_encodings(text: bytes) -> list[str]:
    """Return encodings that some bytes may be of, the most likely one first."""
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
    for cut in range(4):  # the part may begin and end inside of a character
        for end in range(4):
            try:
                text[cut : len(text) - end].decode(encoding)
            except UnicodeDecodeError:
                continue
            return True
    return False


def _count_lines(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
