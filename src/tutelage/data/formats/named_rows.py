"""Rows with the same fault: their count, and the first of them with their places."""

from collections.abc import Sequence

from tutelage.data.rows.records import Record

ROWS_NAMED = 8


class NamedRows:
    """Rows with the same fault: their count, and the first of them with their places."""

    def __init__(self) -> None:
        self.named: list[Record] = []
        self.count = 0

    def add(self, record: Record) -> None:
        if len(self.named) < ROWS_NAMED:
            self.named.append(record)
        self.count += 1

    @property
    def first(self) -> Record:
        return self.named[0]

    def __str__(self) -> str:
        named = ", ".join(map(_placed, self.named))
        more = f" and {self.count - len(self.named):,} more" if self.count > len(self.named) else ""
        return f"{'row' if self.count == 1 else 'rows'} {named}{more}"


def joined(groups: Sequence[NamedRows]) -> NamedRows:
    """Return the rows of several groups as one, in row order."""
    whole = NamedRows()
    records = (record for rows in groups for record in rows.named)
    whole.named = sorted(records, key=lambda record: record.row)[:ROWS_NAMED]
    whole.count = sum(rows.count for rows in groups)
    return whole


def _placed(record: Record) -> str:
    places = [record.file or "", f"line {record.line}" if record.line else ""]
    told = " ".join(place for place in places if place)
    return f"{record.row} ({told})" if told else str(record.row)
