"""What the judges said, for the page: scores with intervals, what is missing, the self-test, labels and each reply."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.judge.results import judged_metric
from tutelage.report.charts import Chart, calibration_chart
from tutelage.report.scores import Bar, change_text, value_text
from tutelage.run.folder import VARIANTS
from tutelage.run.judges import JudgeResult

ROWS_SHOWN = 100


@dataclass(frozen=True)
class JudgedRow:
    """One test row: the score of each answer or the reason why there is none, the preferences, and the replies."""

    row: int
    scores: Mapping[str, str]
    preferences: Mapping[str, str]
    responses: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class JudgeSection:
    """What the page shows of one judge; `result` is what judges.json says of it, numbers as they are."""

    name: str
    result: JudgeResult
    base: str
    tuned: str
    difference: str
    interval: str
    bar: Bar | None
    calibration: Chart | None
    rows: list[JudgedRow]
    omitted: int


def judge_sections(
    results: Mapping[str, JudgeResult], judgements: Sequence[Mapping[str, Any]]
) -> list[JudgeSection]:
    """Return a section for each judge that has judged the answers; `judgements` are the lines about the test rows."""
    by_judge: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in judgements:
        by_judge[record["judge"]].append(record)
    widest = max((abs(end) for result in results.values() for end in _ends(result)), default=0.0)
    return [_section(name, result, by_judge[name], widest) for name, result in results.items()]


def unscored_rows(judgements: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Return the test rows to which some judge gave no readable score."""
    return frozenset(
        record["row"] for record in judgements if record["kind"] == "score" and record["value"] is None
    )


def _section(
    name: str, result: JudgeResult, records: Sequence[Mapping[str, Any]], widest: float
) -> JudgeSection:
    metric, score = judged_metric(name), result.score
    ends = _ends(result)
    rows = _rows(records)
    return JudgeSection(
        name=name,
        result=result,
        base=value_text(score.base, metric),
        tuned=value_text(score.tuned, metric),
        difference=change_text(score.difference, metric),
        interval=" to ".join(change_text(end, metric) for end in ends) or "unknown",
        bar=Bar(*(round(100 + 92 * end / widest, 1) for end in (*ends, score.difference)))
        if ends and widest and score.difference is not None
        else None,
        calibration=_calibration(records),
        rows=rows[:ROWS_SHOWN],
        omitted=max(0, len(rows) - ROWS_SHOWN),
    )


def _ends(result: JudgeResult) -> list[float]:
    return [end for end in (result.score.low, result.score.high) if end is not None]


def _calibration(records: Sequence[Mapping[str, Any]]) -> Chart | None:
    labelled = [
        record for record in records if record.get("label") is not None and record["value"] is not None
    ]
    points = [(record["label"], record["value"]) for record in labelled]
    return calibration_chart(points) if points else None


def _rows(records: Sequence[Mapping[str, Any]]) -> list[JudgedRow]:
    """Return the judged rows, first those with something missing, then by how much the tuned model gained."""
    by_row: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record["kind"] != "self_test":
            by_row[record["row"]].append(record)
    order = sorted(by_row, key=lambda row: (*_gain(by_row[row]), row))
    return [_row(row, by_row[row]) for row in order]


def _gain(records: Sequence[Mapping[str, Any]]) -> tuple[bool, float]:
    scores = {record["variant"]: record["value"] for record in records if record["kind"] == "score"}
    is_whole = all(scores.get(variant) is not None for variant in VARIANTS)
    return is_whole, -abs(scores["tuned"] - scores["base"]) if is_whole else 0.0


def _row(row: int, records: Sequence[Mapping[str, Any]]) -> JudgedRow:
    def value_of(record: Mapping[str, Any]) -> str:
        return str(record["value"]) if record["value"] is not None else "none"

    return JudgedRow(
        row=row,
        scores={record["variant"]: value_of(record) for record in records if record["kind"] == "score"},
        preferences={
            record["first"]: value_of(record) for record in records if record["kind"] == "preference"
        },
        responses=[
            (_subject(record, number), reply)
            for record in records
            for number, reply in enumerate(record["responses"], start=1)
        ]
        + [(_subject(record, 0), record["reason"]) for record in records if record["value"] is None],
    )


def _subject(record: Mapping[str, Any], number: int) -> str:
    about = f"{record['variant']} answer" if record["kind"] == "score" else f"{record['first']} answer first"
    if number == 0:
        return f"{about}: why the value is missing"
    return about if number == 1 else f"{about}, attempt {number}"
