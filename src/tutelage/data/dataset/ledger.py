"""Record what happens to each row: one byte per row, and messages only for changed rows."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tutelage.codes import Message
from tutelage.data.quality.checks import CheckedRow
from tutelage.data.rows.records import Record
from tutelage.run.folder import SPLITS, reading_faults
from tutelage.run.lines import parse_json_line

OUTCOMES = ("kept", "repaired", "dropped")
KEPT, REPAIRED, DROPPED = range(len(OUTCOMES))


def rows_with_other_outcome(
    ledger: Path, *, run: str, outcomes: Collection[str], reasons: Collection[str]
) -> dict[int, Message]:
    """Return the rows whose entry in a run's ledger has none of these outcomes or reasons, and why.

    A reason matches by its code or a part of its message. `run` is the run's name in the messages.
    """
    left_out: dict[int, Message] = {}
    with reading_faults(ledger), ledger.open("rb") as lines:
        for line in lines:
            told = parse_json_line(ledger, line)
            if outcomes and told["outcome"] not in outcomes:
                left_out[told["row"]] = Message("filter.other_outcome", f"{told['outcome']} in {run}")
            elif reasons and not any(
                _is_about(reason, part) for reason in told["reasons"] for part in reasons
            ):
                left_out[told["row"]] = Message("filter.other_outcome", f"no such reason in {run}")
    return left_out


def _is_about(reason: Mapping[str, str], part: str) -> bool:
    return part in reason["message"] or part == reason["code"]


class Ledger:
    """The outcome of every row of a source, in source order."""

    def __init__(self) -> None:
        self._outcomes = bytearray()
        self._reasons: dict[int, tuple[Message, ...]] = {}
        self._files: list[tuple[int, str]] = []  # first row and name of each file

    def note_file(self, record: Record) -> None:
        """Record which of several files a record comes from."""
        if record.file is not None and (not self._files or self._files[-1][1] != record.file):
            self._files.append((record.row, record.file))

    def file_of(self, row: int) -> str | None:
        """Return the name of the file that holds a row, or None if the source is a single file."""
        place = bisect_right(self._files, row, key=lambda file: file[0])
        return self._files[place - 1][1] if place else None

    def note(self, checked: CheckedRow) -> None:
        """Add the outcome of the next row."""
        assert checked.row.row == len(self._outcomes), "every row has a line"
        self._outcomes.append(OUTCOMES.index(checked.outcome))
        if checked.reasons:
            self._reasons[checked.row.row] = checked.reasons

    def drop(self, row: int, reason: Message) -> None:
        """Mark a row as dropped that was kept or repaired before."""
        self._outcomes[row] = DROPPED
        self._reasons[row] = (reason,)

    def counts(self) -> dict[str, int]:
        """Return the number of rows read and of each outcome; the outcomes add up to the rows read."""
        counted = {name: self._outcomes.count(code) for code, name in enumerate(OUTCOMES)}
        return {"read": len(self._outcomes), **counted}

    def reasons(self) -> list[str]:
        """Return one line per reason code, most frequent first, with the message of its first row and the
        number of rows.
        """
        rows, first = Counter[str](), dict[str, str]()
        for row, reasons in self._reasons.items():
            for reason in {reason.code: reason for reason in reversed(reasons)}.values():
                rows[reason.code] += 1
                first.setdefault(reason.code, f"row {row}: {reason.text}")
        return [
            f"{first[code]}{f' ({code}, {count:,} rows)' if count > 1 else f' ({code})'}"
            for code, count in rows.most_common()
        ]

    def lines(self, rows: np.ndarray, sides: np.ndarray) -> Iterator[str]:
        """Yield the ledger line of every row; `rows` are the numbers of the kept rows, and `sides` their
        splits.
        """
        ends: dict[
            tuple[int, int, str | None], str
        ] = {}  # cached for rows without a reason, which are nearly all
        split = np.full(len(self._outcomes), len(SPLITS), dtype=np.uint8)
        split[rows] = sides
        files = iter([*self._files, (len(self._outcomes), "")])
        file, (next_begin, next_file) = None, next(files)
        for row, (outcome, side) in enumerate(zip(self._outcomes, split.tolist(), strict=True)):
            while row == next_begin:
                file, (next_begin, next_file) = next_file, next(files)
            reasons = self._reasons.get(row, ())
            kind = (outcome, side, file)
            end = None if reasons else ends.get(kind)
            if end is None:
                end = _end_of_line(outcome, side, reasons, file)
                if not reasons:
                    ends[kind] = end
            yield f'{{"row": {row}, {end}'


def _end_of_line(outcome: int, side: int, reasons: Iterable[Message], file: str | None) -> str:
    """Return the part of a ledger line after the row number."""
    record = {
        "outcome": OUTCOMES[outcome],
        "split": SPLITS[side] if side < len(SPLITS) else None,
        "reasons": [reason.to_record() for reason in reasons],
        **({} if file is None else {"file": file}),
    }
    return json.dumps(record, ensure_ascii=False)[1:]
