"""The stored form of a split: one line of text per row, and memory-mapped arrays of token ids.

Opening it only reads a table of 48 bytes per row, so it is fast for any number of rows.
"""

import json
import math
import mmap
import os
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import numpy as np
from numpy.lib import format as npy

from tutelage.data.dataset.row_table import (
    ROW,
    WITHOUT_LABEL,
    check_counts,
    check_length,
    pack_row,
    predicts_label,
)
from tutelage.run.folder import ONE_ANSWER, SplitFiles, files_of_answers, reading_faults
from tutelage.run.lines import parse_json_line
from tutelage.system.storage import storage_faults
from tutelage.tree.examples import Example, PreparedRow

SPAN_PACKED = struct.Struct("<ii")
BUFFER_BYTES = 2**20
IDS_AT_ONCE = 2**20
TO_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def id_type(vocabulary: int) -> np.dtype[Any]:
    """Return the dtype of token ids: two bytes if they suffice, otherwise four."""
    return np.dtype("<u2") if vocabulary <= 2**16 else np.dtype("<u4")


class RowsWriter:
    """Writes the rows of a split; the files are complete after `close`."""

    def __init__(self, files: SplitFiles, ids: np.dtype[Any]) -> None:
        self._files = files
        self._id_code = {2: "H", 4: "I"}[ids.itemsize]
        with storage_faults(files.texts):
            self._texts = files.texts.open("wb", buffering=BUFFER_BYTES)
            self._ids = _ArrayFile(files.ids, ids)
            self._table = _ArrayFile(files.table, ROW)
            self._spans = _ArrayFile(files.spans, np.dtype("<i4"), columns=(2,))
        self._text_end = 0

    def add(self, row: PreparedRow) -> None:
        """Write the next row."""
        example = row.example
        line = TO_JSON(row.to_record()).encode() + b"\n"
        earlier = example.earlier_spans
        spans = b"".join(SPAN_PACKED.pack(*span) for span in earlier) if earlier else b""
        self._append(example, line, array(self._id_code, example.ids).tobytes(), spans)

    def _append(self, example: Example, line: bytes, ids: bytes, spans: bytes) -> None:
        with storage_faults(self._files.texts):
            self._texts.write(line)
            self._text_end += len(line)
            self._ids.append(ids)
            self._spans.append(spans)
            self._table.append(
                pack_row(
                    example,
                    ids_end=self._ids.length,
                    text_end=self._text_end,
                    spans_end=self._spans.length,
                )
            )

    def copy(self, rows: "PreparedRows") -> None:
        """Copy rows that are already prepared."""
        for place in range(len(rows)):
            self._append(*rows.raw(place))

    def close(self) -> None:
        """Flush all files to disk."""
        with storage_faults(self._files.texts), self._texts:
            self._texts.flush()
            os.fsync(self._texts.fileno())
            for file in (self._ids, self._table, self._spans):
                file.close()


class _ArrayFile:
    """A .npy file that grows along its first axis; the header gets the final length on closing."""

    def __init__(self, path: Path, dtype: np.dtype[Any], columns: tuple[int, ...] = ()) -> None:
        self.length = 0
        self._dtype, self._columns = dtype, columns
        self._bytes_each = dtype.itemsize * math.prod(columns)
        self._file = path.open("wb", buffering=BUFFER_BYTES)
        self._write_header()
        self._header_bytes = self._file.tell()

    def append(self, content: bytes) -> None:
        self._file.write(content)
        self.length += len(content) // self._bytes_each

    def close(self) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()
            assert self._file.tell() == self._header_bytes, "numpy leaves room in the header for the length"
            self._file.flush()
            os.fsync(self._file.fileno())

    def _write_header(self) -> None:
        header = npy.header_data_from_array_1_0(np.empty((0, *self._columns), self._dtype))
        npy.write_array_header_1_0(self._file, {**header, "shape": (self.length, *self._columns)})


def map_split(folder: Path, split: str, answers: Sequence[str] = ONE_ANSWER) -> "PreparedRows":
    """Map the rows of a split in a data folder; further `answers` are left out if their files are missing."""
    first, *others = files_of_answers(folder, split, answers)
    rows = map_rows(first)
    found = {
        name: _map_further_answers(rows, files)
        for name, files in zip(answers[1:], others, strict=True)
        if files.texts.exists()
    }
    return rows.beside(answers[0], found)


def _map_further_answers(rows: "PreparedRows", files: SplitFiles) -> "PreparedRows":
    """Map a further answer of the same rows."""
    found = map_rows(files)
    with reading_faults(files.table):
        if not np.array_equal(found.row_numbers, rows.row_numbers):
            raise ValueError("its rows differ from the rows of the first answers")
    return found


def map_rows(files: SplitFiles) -> "PreparedRows":
    """Map the rows of a split; raise RunFolderError if the files are damaged or inconsistent."""
    with reading_faults(files.texts), files.texts.open("rb") as file:
        is_empty = files.texts.stat().st_size == 0  # an empty file cannot be mapped
        texts = b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    ids, table, spans = _map(files.ids), _map(files.table), _map(files.spans)
    with reading_faults(files.table):
        if table.dtype != ROW or table.ndim != 1:
            raise ValueError("it is not a table of prepared rows")
    with reading_faults(files.ids):
        if ids.dtype not in (id_type(0), id_type(2**31)) or ids.ndim != 1:
            raise ValueError("it holds no token ids")
    with reading_faults(files.spans):
        if spans.dtype != np.dtype("<i4") or spans.shape[1:] != (2,):
            raise ValueError("it holds no spans")
    for path, column, length in (
        (files.texts, "text_end", len(texts)),
        (files.ids, "ids_end", len(ids)),
        (files.spans, "spans_end", len(spans)),
    ):
        with reading_faults(path):
            check_length(table[column], length)
    with reading_faults(files.table):
        check_counts(table)
    return PreparedRows(_Mapped(files, texts, ids, table, spans), range(len(table)))


def _map(path: Path) -> np.ndarray:
    with reading_faults(path):
        return npy.open_memmap(path, mode="r")  # never unpickles


@dataclass(frozen=True)
class _Mapped:
    files: SplitFiles
    texts: mmap.mmap | bytes
    ids: np.ndarray  # (tokens,)
    table: np.ndarray  # (rows,) of dtype ROW
    spans: np.ndarray  # (spans, 2)


class PreparedRows(Sequence[PreparedRow]):
    """The rows of a split, read from disk on access; a slice is a view.

    Mapped data stays available after its files are moved or removed, as long as the rows are in use.
    """

    def __init__(
        self,
        split: _Mapped,
        places: range,
        answer: str = "",
        others: "Mapping[str, PreparedRows]" = MappingProxyType({}),
    ) -> None:
        self._split, self._places, self._answer, self._others = split, places, answer, others

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> PreparedRow: ...
    @overload
    def __getitem__(self, index: slice) -> "PreparedRows": ...
    def __getitem__(self, index: int | slice) -> "PreparedRow | PreparedRows":
        if isinstance(index, slice):
            others = {name: rows[index] for name, rows in self._others.items()}
            return PreparedRows(self._split, self._places[index], self._answer, others)
        begin, end = self._range(self._places[index], "text_end")
        record = parse_json_line(self._split.files.texts, self._split.texts[begin:end])
        example = self.example(index)
        with reading_faults(self._split.files.texts):
            if (record["row"], record["tokens"]) != (example.row, example.tokens):
                raise ValueError(f"the text of row {example.row} has changed since it was prepared")
        return PreparedRow(record["prompt"], record["response"], example, tuple(record.get("messages", ())))

    def example(self, index: int) -> Example:
        """Return the example of a row, without its text."""
        place = self._places[index]
        begin, end = self._range(place, "ids_end")
        spans_begin, spans_end = self._range(place, "spans_end")
        row, _, _, _, prompt_tokens, supervised, label = self._split.table[place].item()
        return Example(
            row,
            tuple(self._split.ids[begin:end].tolist()),
            prompt_tokens,
            supervised,
            tuple(map(tuple, self._split.spans[spans_begin:spans_end].tolist())),
            None if label == WITHOUT_LABEL else label,
        )

    def raw(self, index: int) -> tuple[Example, bytes, bytes, bytes]:
        """Return the stored form of a row: example, line of text, and the bytes of its ids and spans."""
        place = self._places[index]
        parts = (
            (self._split.texts, "text_end"),
            (self._split.ids, "ids_end"),
            (self._split.spans, "spans_end"),
        )
        line, ids, spans = (bytes(part[slice(*self._range(place, column))]) for part, column in parts)
        return self.example(index), line, ids, spans

    def beside(self, answer: str, others: "Mapping[str, PreparedRows]") -> "PreparedRows":
        """Return these rows as the answer named `answer`, together with the other answers."""
        return PreparedRows(self._split, self._places, answer, others)

    @property
    def answers(self) -> "dict[str, PreparedRows]":
        """All answers to the prompts of these rows by name, starting with these rows."""
        return {self._answer: self, **self._others}

    @property
    def examples(self) -> "Examples":
        return Examples(self)

    @property
    def row_numbers(self) -> np.ndarray:
        """Number of each row in the source: (rows,)."""
        return self._column("row")

    @property
    def lengths(self) -> np.ndarray:
        """Number of ids in each row: (rows,)."""
        return np.diff(self._split.table["ids_end"], prepend=0)[self._indices]

    @property
    def tokens(self) -> np.ndarray:
        """Number of tokens in each row that are read or predicted; a predicted label counts as one: (rows,)."""
        return self.lengths + predicts_label(self._split.table[self._indices], self.lengths)

    @property
    def read_tokens(self) -> np.ndarray:
        """Number of tokens in each row that the model reads: (rows,)."""
        return self.tokens - 1

    @property
    def labels(self) -> np.ndarray:
        """Label of each row, or WITHOUT_LABEL: (rows,)."""
        return self._column("label")

    @property
    def prompt_tokens(self) -> np.ndarray:
        """Number of tokens before the last answer in each row: (rows,)."""
        return self._column("prompt_tokens")

    @property
    def supervised(self) -> np.ndarray:
        """Number of predicted and scored tokens in each row: (rows,)."""
        return self._column("supervised")

    def place_of_unknown(self, vocabulary: int) -> tuple[int, int] | None:
        """Return the first (row, token id) in the split that is outside the vocabulary, or None."""
        if np.iinfo(self._split.ids.dtype).max < vocabulary:
            return None
        for begin in range(0, len(self._split.ids), IDS_AT_ONCE):
            unknown = np.flatnonzero(self._split.ids[begin : begin + IDS_AT_ONCE] >= vocabulary)
            if len(unknown):
                place = begin + int(unknown[0])
                row = np.searchsorted(self._split.table["ids_end"], place, side="right")
                return int(self._split.table["row"][row]), int(self._split.ids[place])
        return None

    @property
    def ids(self) -> np.ndarray:
        """Mapped token ids of all rows of the split, concatenated: (tokens,)."""
        return self._split.ids

    @property
    def begins(self) -> np.ndarray:
        """Start of each row in `ids`: (rows,)."""
        return self._column("ids_end") - self.lengths

    def _column(self, name: str) -> np.ndarray:
        return self._split.table[name][self._indices].astype(np.int64)

    @property
    def _indices(self) -> np.ndarray:
        return np.arange(self._places.start, self._places.stop, self._places.step)

    def _range(self, place: int, column: str) -> tuple[int, int]:
        ends = self._split.table[column]
        return (int(ends[place - 1]) if place else 0), int(ends[place])


class Examples(Sequence[Example]):
    """The examples of prepared rows, read on access; a slice is a view."""

    def __init__(self, rows: PreparedRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Examples": ...
    def __getitem__(self, index: int | slice) -> "Example | Examples":
        return Examples(self._rows[index]) if isinstance(index, slice) else self._rows.example(index)
