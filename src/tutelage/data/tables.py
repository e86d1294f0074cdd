"""Rows from and to CSV and Parquet files. Every CSV cell is text, so that no column's type is guessed."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from tutelage.data.arrow_rows import records_of, refuse_bombs, repeated_columns, rows_at_once, too_large
from tutelage.data.arrow_values import row_reader
from tutelage.data.csv_lines import CsvLines
from tutelage.data.records import NO_LIMIT, Record
from tutelage.errors import DataError

ROWS_AT_ONCE = 256
LONGEST_CELL = 2**31 - 1  # csv's own limit is 131,072; data.max_row_bytes judges a row
LONGEST_HEADER = 2**20  # bytes, unless a row may be longer


def read_csv_rows(
    file: BinaryIO, name: str, *, encoding: str, delimiter: str, max_row_bytes: int = NO_LIMIT
) -> Iterator[Record]:
    """Yield the rows of a CSV file below its header, as objects of texts, each with the line on which it begins.

    A row above `max_row_bytes` has its size and no value.
    """
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(file, encoding, newline="")
    longest_header = max(max_row_bytes, LONGEST_HEADER)
    lines = CsvLines(text, encoding=encoding, delimiter=delimiter, max_row_bytes=longest_header)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    rows = 0
    try:
        columns = next(reader, [])
        if lines.row_bytes > longest_header:
            raise DataError(
                "data.row_too_large",
                f"{name}: the header has more than {longest_header:,} bytes. Is the first line of the file a header?",
            )
        _refuse_repeated_columns(columns, name)
        lines.max_row_bytes = max_row_bytes
        lines.begin_row()
        line = lines.line + 1
        for cells in reader:
            if cells:  # an empty line is no row
                if len(cells) != len(columns):
                    raise DataError(
                        "data.row_width",
                        f"{name}:{line}: row {rows} has {len(cells)} cells, but the header names {len(columns)}"
                        " columns. Mend that row, or put cells with line breaks or delimiters in quotation marks.",
                        row=rows,
                    )
                size = lines.row_bytes
                was_read = size <= max_row_bytes
                value = dict(zip(columns, cells, strict=True)) if was_read else None
                yield Record(rows, line, value, size=size, was_read=was_read)
                rows += 1
            lines.begin_row()
            line = lines.line + 1
    except csv.Error as fault:
        raise DataError(
            "data.malformed_csv",
            f"{name}:{lines.line}: malformed CSV: {fault}. {rows:,} whole rows stand before it. Mend the file"
            " there.",
            row=rows,
        ) from fault
    except UnicodeDecodeError as fault:
        raise DataError(
            "data.wrong_encoding",
            f"{name}: a byte after line {lines.line} (0x{fault.object[fault.start]:02x}) is not"
            f" {encoding.upper()}. Save the file as UTF-8, or name its encoding with --set data.encoding=…",
        ) from fault
    finally:
        text.detach()  # the file is its owner's to close


def read_parquet_rows(
    file: BinaryIO, name: str, *, max_bytes: int, max_row_bytes: int = NO_LIMIT
) -> Iterator[Record]:
    """Yield the rows of a Parquet file as objects; a row above `max_row_bytes` has its size and no value.

    What the footer says is judged before anything is unpacked. A text that the file holds once and many rows share is
    in memory once, until a row of it becomes an object.
    """
    import pyarrow  # noqa: PLC0415 - half a second that the other kinds need not wait for
    from pyarrow import parquet  # noqa: PLC0415

    unpacked, rows = 0, 0
    try:
        metadata = parquet.read_metadata(file)
        refuse_bombs(metadata, name, file_bytes=file.seek(0, io.SEEK_END), max_bytes=max_bytes)
        table = parquet.ParquetFile(file, read_dictionary=repeated_columns(metadata))
        _refuse_repeated_columns(table.schema_arrow.names, name)
        rows_of = row_reader(table.schema_arrow)
        for batch in table.iter_batches(batch_size=rows_at_once(metadata, ROWS_AT_ONCE)):
            for record in records_of(batch, rows, rows_of, max_row_bytes=max_row_bytes):
                unpacked += record.size or 0
                if unpacked > max_bytes:
                    raise too_large(name, max_bytes)
                yield record
            rows += batch.num_rows
    except (pyarrow.ArrowException, OSError, ValueError) as fault:
        reason = str(fault).strip().split("\n")[0].rstrip(".")
        raise DataError(
            "data.damaged_parquet",
            f"{name} is no whole Parquet file: {reason}. Write or fetch it again.",
        ) from fault


def csv_bytes(rows: Sequence[Mapping[str, Any]], *, delimiter: str) -> bytes:
    """Return rows as UTF-8 CSV with a header; a cell that is no text holds its JSON, and null is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows), restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def parquet_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a Parquet file; ValueError or TypeError where a column has no one type."""
    import pyarrow  # noqa: PLC0415 - as above
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = pyarrow.table({column: [row.get(column) for row in rows] for column in _columns(rows)})
        packed = pyarrow.BufferOutputStream()
        parquet.write_table(table, packed)
    except pyarrow.ArrowException as fault:  # some of its kinds are no ValueError
        raise ValueError(str(fault).strip().split("\n")[0]) from fault
    return packed.getvalue().to_pybytes()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _refuse_repeated_columns(columns: list[str], name: str) -> None:
    repeated = next((column for column, count in Counter(columns).items() if count > 1), None)
    if repeated is not None:
        raise DataError(
            "data.duplicate_column",
            f"{name} names the column {repeated!r} twice. Rename one of them.",
        )
