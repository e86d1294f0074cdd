"""CSV: a header and one row of text cells per line."""

from functools import partial

from tutelage.data.formats.table_shape import TableShape, find_shape, look_at_more_rows
from tutelage.data.sources.csv_rows import read_csv_rows
from tutelage.data.sources.file_formats import FileFormat, Head, Recognised
from tutelage.data.sources.tables import csv_bytes


def recognise_csv(head: Head) -> Recognised | None:
    """Recognize text that does not look like JSON and whose lines have equal numbers of cells, with any
    delimiter.
    """
    if head.begin[:1] in ("[", "{", ""):
        return None
    settings = head.settings
    shape = find_shape(head.text, is_whole=head.is_whole, settings=settings, ending=head.ending)
    if shape is None:
        return None
    if shape.quotes and settings.quoting is None and not head.is_whole:
        shape = look_at_more_rows(head.file, shape, sample=head.text, encoding=head.encoding)
    read = partial(
        read_csv_rows,
        name=str(head.path),
        encoding=head.encoding,
        shape=shape,
        max_row_bytes=settings.max_row_bytes,
        tell=head.add_note,
    )
    head.notes.extend(shape.notes)
    return Recognised("CSV", read, is_text_table=True)


def format_of_cells(delimiter: str) -> FileFormat:
    """Return the format of files with this delimiter; any delimiter is recognized when reading."""
    return FileFormat(
        recognise_csv,
        partial(csv_bytes, delimiter=delimiter),
        is_text_table=True,
        read_back=partial(read_csv_rows, encoding="utf-8", shape=TableShape(delimiter)),
    )


FORMAT = format_of_cells(",")
