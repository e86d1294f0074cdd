"""Parquet: compressed, typed columns."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, cast

from tutelage.data.rows.records import Record
from tutelage.data.sources.file_formats import FileFormat, Head, ReadRows, Recognised
from tutelage.data.sources.tables import parquet_bytes, read_parquet_rows

MAGIC = b"PAR1"


def recognise_parquet(head: Head) -> Recognised | None:
    """Recognize a Parquet file by its first bytes."""
    if not head.content.startswith(MAGIC):
        return None
    read = partial(
        read_parquet_rows,
        name=str(head.path),
        max_bytes=head.settings.max_file_bytes,
        max_row_bytes=head.settings.max_row_bytes,
    )
    return Recognised("Parquet", partial(_rows_from_end, read))


def _rows_from_end(read: ReadRows, file: BinaryIO) -> Iterator[Record]:
    """Read Parquet, which needs random access: gzipped data goes through a temporary file."""
    if file.seekable():
        yield from read(file)
        return
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(file, whole)
        yield from read(cast(BinaryIO, whole))


FORMAT = FileFormat(
    recognise_parquet,
    parquet_bytes,
    is_text=False,
    read_back=partial(read_parquet_rows, max_bytes=2**63),
)
