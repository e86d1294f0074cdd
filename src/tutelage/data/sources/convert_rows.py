"""Write conversations as rows of any format; a row that does not fit is rejected, never truncated."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.codes import Message
from tutelage.data.formats.schemas import SCHEMAS, Row, fields_of, unused_keys
from tutelage.data.formats.written_rows import UnfitError
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import SOURCE_ROW, Record
from tutelage.data.sources.writing import source_row, with_row_numbers


@dataclass(frozen=True)
class Converted:
    """The converted rows, the reasons for rows that do not fit, and counts of fields that were left out."""

    values: list[Row]
    unfit: dict[int, Message]
    left_behind: dict[str, int]


def convert_rows(
    records: Sequence[Record],
    rows: Sequence[Conversation],
    to: str | None,
    *,
    chosen_only: bool = False,
) -> Converted:
    """Convert rows to another format, each with its number; rows that already have that format are unchanged.

    Fields unknown to all formats are kept. Fields that another format reads are left out, because they would
    have a meaning there.
    """
    read_by_some = fields_of(list(SCHEMAS)) - fields_of([])
    values: list[Row] = []
    unfit: dict[int, Message] = {}
    left_behind: Counter[str] = Counter()
    for record, row in zip(records, rows, strict=True):
        if to is None or to == row.format:
            values += with_row_numbers([record])
            continue
        try:
            made = to_format(row, to, chosen_only=chosen_only)
        except UnfitError as fault:
            unfit[row.row] = fault.reason
            continue
        own = fields_of([row.format], record.value)
        if not SCHEMAS[row.format].has_fields(record.value):
            own |= {"output"}  # holds both answers
        fields = (field for field in record.value if field in read_by_some - own)
        left_behind.update(f"field {field!r}" for field in fields)
        left_behind.update({f"key {what}": count for what, count in unused_keys(record, row.format).items()})
        values.append({SOURCE_ROW: source_row(record), **made, **unread_fields(record)})
    return Converted(values, unfit, dict(left_behind))


def unread_fields(record: Record) -> Row:
    """Return the fields of a row that no format reads, including its provenance."""
    read = {SOURCE_ROW} | fields_of(list(SCHEMAS), record.value) - fields_of([])
    return {field: found for field, found in record.value.items() if field not in read}


def to_format(row: Conversation, name: str, *, chosen_only: bool = False) -> Row:
    """Return a conversation as a row of a format; raise UnfitError if it does not fit.

    A preference row counts as having a rejected answer even if that has another prompt; `chosen_only` leaves it
    out.
    """
    has_rejected = row.format == "preference" or row.rejected is not None
    if has_rejected and name != "preference" and not chosen_only:
        raise UnfitError("convert.has_rejected_answer", "a rejected answer")
    return SCHEMAS[name].write(row)
