"""Rows from and to CSV and Parquet files. Every CSV cell is text, so that no column's type is guessed."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from tutelage.data.arrow_values import row_reader
from tutelage.data.records import Record
from tutelage.errors import DataError

ROWS_AT_ONCE = 256
LONGEST_CELL = 2**31 - 1  # csv's own limit is 131,072; data.max_row_bytes judges a row


def read_csv_rows(file: BinaryIO, name: str, *, encoding: str, delimiter: str) -> Iterator[Record]:
    """Yield the rows of a CSV file below its header, as objects of texts, each with the line on which it begins."""
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(file, encoding, newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    rows = 0
    try:
        columns = next(reader, [])
        _refuse_repeated_columns(columns, name)
        line = reader.line_num + 1
        for cells in reader:
            if cells:  # an empty line is no row
                if len(cells) != len(columns):
                    raise DataError(
                        "data.row_width",
                        f"{name}:{line}: row {rows} has {len(cells)} cells, but the header names {len(columns)}"
                        " columns. Mend that row, or put cells with line breaks or delimiters in quotation marks.",
                        row=rows,
                    )
                yield Record(rows, line, dict(zip(columns, cells, strict=True)))
                rows += 1
            line = reader.line_num + 1
    except csv.Error as fault:
        raise DataError(
            "data.malformed_csv",
            f"{name}:{reader.line_num}: malformed CSV: {fault}. {rows:,} whole rows stand before it. Mend the file"
            " there.",
            row=rows,
        ) from fault
    except UnicodeDecodeError as fault:
        raise DataError(
            "data.wrong_encoding",
            f"{name}: a byte after line {reader.line_num} (0x{fault.object[fault.start]:02x}) is not"
            f" {encoding.upper()}. Save the file as UTF-8, or name its encoding with --set data.encoding=…",
        ) from fault
    finally:
        text.detach()  # the file is its owner's to close


def read_parquet_rows(file: BinaryIO, name: str, *, max_bytes: int) -> Iterator[Record]:
    """Yield the rows of a Parquet file as objects."""
    import pyarrow  # noqa: PLC0415 - half a second that the other kinds need not wait for
    from pyarrow import parquet  # noqa: PLC0415

    unpacked, rows = 0, 0
    try:
        table = parquet.ParquetFile(file)
        _refuse_repeated_columns(table.schema_arrow.names, name)
        rows_of = row_reader(table.schema_arrow)
        for batch in table.iter_batches(batch_size=ROWS_AT_ONCE):
            unpacked += batch.nbytes
            if unpacked > max_bytes:
                raise DataError(
                    "data.file_too_large",
                    f"{name} unpacks to more than {max_bytes:,} bytes. Split it, or raise data.max_file_bytes.",
                )
            for value in rows_of(batch):
                yield Record(rows, None, value, is_from_arrow=True)
                rows += 1
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
    repeated = [column for column in columns if columns.count(column) > 1]
    if repeated:
        raise DataError(
            "data.duplicate_column",
            f"{name} names the column {repeated[0]!r} twice. Rename one of them.",
        )
