"""What becomes of each row, gathered while the rows go by: one byte a row, and words for those alone that changed."""

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
    """Return the rows of which a run's ledger does not tell these outcomes and one of these reasons, and why not.

    A reason is asked for by its code or a part of its words. The messages call the run by its name, `run`.
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
    """The outcome of every row of a source, in the order of the source."""

    def __init__(self) -> None:
        self._outcomes = bytearray()
        self._reasons: dict[int, tuple[Message, ...]] = {}
        self._files: list[tuple[int, str]] = []  # of each file the first row and the name

    def note_file(self, record: Record) -> None:
        """Remember in which file of several a record stands."""
        if record.file is not None and (not self._files or self._files[-1][1] != record.file):
            self._files.append((record.row, record.file))

    def file_of(self, row: int) -> str | None:
        """Return the name of the file that holds a row, None where the source is one file."""
        place = bisect_right(self._files, row, key=lambda file: file[0])
        return self._files[place - 1][1] if place else None

    def note(self, checked: CheckedRow) -> None:
        """Take in the next row."""
        assert checked.row.row == len(self._outcomes), "every row has a line"
        self._outcomes.append(OUTCOMES.index(checked.outcome))
        if checked.reasons:
            self._reasons[checked.row.row] = checked.reasons

    def drop(self, row: int, reason: Message) -> None:
        """Drop a row that was kept or repaired before."""
        self._outcomes[row] = DROPPED
        self._reasons[row] = (reason,)

    def counts(self) -> dict[str, int]:
        """Return how many rows were read and what became of them; the outcomes sum up to the rows."""
        counted = {name: self._outcomes.count(code) for code, name in enumerate(OUTCOMES)}
        return {"read": len(self._outcomes), **counted}

    def reasons(self) -> list[str]:
        """Return a text for each code of a reason, the most frequent first: the words of one row, and of how many."""
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
        """Yield the line of every row; `rows` are the numbers of those that are kept, and `sides` where they stand."""
        ends: dict[
            tuple[int, int, str | None], str
        ] = {}  # of the rows without a reason, which are nearly all
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
    """Return the line of a row behind its number."""
    record = {
        "outcome": OUTCOMES[outcome],
        "split": SPLITS[side] if side < len(SPLITS) else None,
        "reasons": [reason.to_record() for reason in reasons],
        **({} if file is None else {"file": file}),
    }
    return json.dumps(record, ensure_ascii=False)[1:]
