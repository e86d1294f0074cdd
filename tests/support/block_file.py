"""A file format that no module of the program has: a row is a block of lines `field: JSON`, an empty line behind it."""

import json

from tutelage.data.rows.records import Record
from tutelage.data.sources.file_formats import FileFormat, Recognised


def recognise(head):
    """Take a file that has the ending and whose first line names a field."""
    is_block = head.ending == ".block" and head.begin[:1].isalpha() and ": " in head.begin.splitlines()[0]
    return Recognised("blocks", lambda file: read(file, str(head.path), head.encoding)) if is_block else None


def read(file, name, encoding="utf-8"):
    """Yield the rows, each with the line on which it begins."""
    text = file.read().decode(encoding)
    line = 1
    for row, block in enumerate(text.removesuffix("\n\n").split("\n\n")):
        fields = (one.split(": ", 1) for one in block.splitlines())
        yield Record(row, line, {field: json.loads(value) for field, value in fields}, size=len(block))
        line += block.count("\n") + 2


def write(rows):
    """Return the bytes of rows."""
    blocks = ("".join(f"{field}: {json.dumps(value)}\n" for field, value in row.items()) for row in rows)
    return "".join(f"{block}\n" for block in blocks).encode()


def write_without_last_field(rows):
    """Return the bytes of rows that are not the same when they are read again."""
    return write([dict(list(row.items())[:-1]) for row in rows])


FORMAT = FileFormat(recognise, write, read_back=read)
LOSSY = FileFormat(recognise, write_without_last_field, read_back=read)
