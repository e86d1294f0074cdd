"""Read Parquet files, and write Parquet and CSV files."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any, BinaryIO

from tutelage.data.rows.records import NO_LIMIT, Record
from tutelage.data.sources.arrow_rows import (
    check_compression,
    records_of,
    repeated_columns,
    rows_at_once,
    too_large,
)
from tutelage.data.sources.arrow_values import row_reader
from tutelage.data.sources.csv_rows import check_columns
from tutelage.errors import DataError
from tutelage.text.characters import is_unseen

ROWS_AT_ONCE = 256
# Includes the full-width forms, which East Asian spreadsheets treat the same.
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
DRIVES_CELL = ("\t", "\r")  # at the beginning; separates cells when the text is pasted or parsed again
NUMBER = re.compile(r"[-+]?[\d., \u00a0\u202f]*\d(?:[eE][-+]?\d+)?[ \u00a0\u202f]?%?")


def read_parquet_rows(
    file: BinaryIO, name: str, *, max_bytes: int, max_row_bytes: int = NO_LIMIT
) -> Iterator[Record]:
    """Yield the rows of a Parquet file as dicts; a row above `max_row_bytes` has a size but no value.

    The footer is checked before anything is unpacked. A dictionary-encoded text shared by many rows is in
    memory once, until its rows become objects.
    """
    import pyarrow  # noqa: PLC0415 - half a second that the other kinds need not wait for
    from pyarrow import parquet  # noqa: PLC0415

    unpacked, rows = 0, 0
    try:
        metadata = parquet.read_metadata(file)
        check_compression(metadata, name, file_bytes=file.seek(0, io.SEEK_END), max_bytes=max_bytes)
        table = parquet.ParquetFile(file, read_dictionary=repeated_columns(metadata))
        check_columns(table.schema_arrow.names, name)
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
            f"{name} is not a complete Parquet file: {reason}. Write or download it again.",
        ) from fault


def csv_bytes(rows: Sequence[Mapping[str, Any]], *, delimiter: str) -> bytes:
    """Return rows as UTF-8 CSV with a header; cells that are not text are written as JSON, and null as an empty
    cell.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows), restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def would_run(cell: str) -> bool:
    """Return whether a spreadsheet would run a cell as a formula; signed numbers are not formulas."""
    seen = "".join(dropwhile(lambda one: one.isspace() or is_unseen(one), cell))
    begins = seen.startswith(FORMULA_BEGINNINGS) or cell.startswith(DRIVES_CELL)
    return begins and not NUMBER.fullmatch(cell.strip(" "))


def cells_that_would_run(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Return (row index, column) of each text that a spreadsheet would run."""
    return [
        (place, column)
        for place, row in enumerate(rows)
        for column, value in row.items()
        if isinstance(value, str) and would_run(value)
    ]


def safe_cell(cell: str) -> str:
    """Return a cell that a spreadsheet does not run, with an apostrophe in front if necessary."""
    return f"'{cell}" if would_run(cell) else cell


def parquet_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a Parquet file; raise ValueError or TypeError if a column has mixed types."""
    import pyarrow  # noqa: PLC0415 - as above
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = pyarrow.table({column: [row.get(column) for row in rows] for column in _columns(rows)})
        packed = pyarrow.BufferOutputStream()
        parquet.write_table(table, packed)
    except pyarrow.ArrowException as fault:  # not all Arrow errors are ValueErrors
        raise ValueError(str(fault).strip().split("\n")[0]) from fault
    return packed.getvalue().to_pybytes()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)
