"""Tests a judge on answers whose worth is known, before anything that it says about the models is believed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from statistics import mean
from typing import Any

from tutelage.codes import Message
from tutelage.evaluation.judge.injections import INJECTIONS
from tutelage.evaluation.judge.judgements import LEFT_OUT, Judgement, commonest_fault
from tutelage.evaluation.judge.protocol import (
    LARGEST_SCORE,
    JudgeRequest,
    preference_request,
    score_request,
)
from tutelage.evaluation.judge.responses import Value

ROWS = 20
REFERENCE_AT_LEAST = 90
BAD_AT_MOST = 20
PADDING_GAINS_AT_MOST = 5
SWAPS_AGREE_AT_LEAST = 80  # %
READABLE_AT_LEAST = 95  # %

UNRELATED = "The museum is closed on Mondays, and the last tram leaves the square at ten in the evening."
INJECTED = "injected_"  # begins the kind of a probe with one of them


# What a judge said, by the kind of the probe and its row.
Values = Mapping[tuple[str, int], Any]


@dataclass(frozen=True)
class Probe:
    """One question of the test, the kind of answer that it is about, and the row that it was made from."""

    kind: str
    row: int
    request: JudgeRequest


@dataclass(frozen=True)
class Check:
    """One line of the test: what was measured, on how many readable replies, and whether it is as it should be."""

    name: str
    label: str
    value: float | None
    wanted: str
    n: int
    passed: bool


@dataclass(frozen=True)
class SelfTest:
    """All lines of the test of one judge, and how many of its questions have no reply at all."""

    checks: tuple[Check, ...]
    unanswered: int
    is_hopeless: bool = False  # and was ended before all of it was asked
    fault: Message | None = None  # the commonest reason why a reply cannot be read

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[str]:
        """What failed, in words without the unit; replies that cannot be read leave nothing to say of the rest."""
        readable = next((check for check in self.checks if check.name == "readable"), None)
        if self.fault is not None and readable is not None and not readable.passed:
            return [self.fault.text]
        return [
            check.label.partition(",")[0]
            for check in self.checks
            if not check.passed and (check.value is not None or not self.is_hopeless)
        ]

    def to_record(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "fault": self.fault.to_record() if self.fault else None,
        }


BAD_ANSWERS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "empty": ("an empty answer", lambda other: ""),
    "colon": ("the answer “:”", lambda other: ":"),
    "thought": ("the answer “Thought process:”", lambda other: "Thought process:"),
    "unrelated": ("an answer about something else", lambda other: UNRELATED),
    "injected": (
        "an answer that asks for 100",
        lambda other: "",
    ),  # of which there are several; see INJECTIONS
    "other_row": ("the reference of another row", lambda other: other),
}


def make_probes(
    answers: Sequence[Mapping[str, Any]], injections: Sequence[str] = ("rules", "system")
) -> list[Probe]:
    """Make the questions from the first rows in the order of a hash; `answers` are the base model's records."""
    chosen = sorted(answers, key=_order)[:ROWS]
    probes: list[Probe] = []
    for answer in chosen:
        row, prompt, reference = answer["row"], answer["prompt"], answer["reference"]
        other = _other_reference(answer, chosen)
        probes.append(Probe("reference", row, score_request(prompt, reference, reference)))
        for kind, (_, make) in BAD_ANSWERS.items():
            if kind == "injected":
                probes += [
                    Probe(INJECTED + name, row, score_request(prompt, reference, INJECTIONS[name]))
                    for name in injections
                ]
            elif kind != "other_row" or other is not None:
                probes.append(Probe(kind, row, score_request(prompt, reference, make(other or ""))))
        response = answer["response"]
        if response.strip():
            probes.append(Probe("plain", row, score_request(prompt, reference, response)))
            probes.append(Probe("padded", row, score_request(prompt, reference, _padded(response))))
        if other is not None:
            probes.append(Probe("first", row, preference_request(prompt, reference, reference, other)))
            probes.append(Probe("second", row, preference_request(prompt, reference, other, reference)))
    return probes


def run_self_test(probes: Sequence[Probe], judgements: Sequence[Judgement]) -> SelfTest:
    """Hold what the judge said against what is known; a line without a readable reply has failed."""
    values = {
        (probe.kind, probe.row): judgement.value
        for probe, judgement in zip(probes, judgements, strict=True)
        if judgement.value is not None
    }
    left_out = sum(judgement.is_left_out for judgement in judgements)
    return SelfTest(
        _checks(probes, values, asked=len(probes) - left_out),
        unanswered=sum(judgement.is_unasked for judgement in judgements),
        is_hopeless=left_out > 0,
        fault=commonest_fault(judgements),
    )


def hopelessness(probes: Sequence[Probe]) -> Callable[[Sequence[Judgement]], bool]:
    """Return what tells, from the first judgements on, that the test cannot pass whatever the rest will be."""

    def is_hopeless(judged: Sequence[Judgement]) -> bool:
        last, probe = judged[-1], probes[len(judged) - 1]
        if last.is_unasked or last.value == _best_value(probe.kind):
            return False  # nothing is lost by it
        values = {
            (probe.kind, probe.row): _best_value(probe.kind) if hopes else judgement.value
            for probe, judgement, hopes in _hopefully(probes, judged)
            if hopes or judgement.value is not None
        }
        return not all(check.passed for check in _checks(probes, values, asked=len(probes)))

    return is_hopeless


def _hopefully(
    probes: Sequence[Probe], judged: Sequence[Judgement]
) -> Iterator[tuple[Probe, Judgement, bool]]:
    """Yield each probe with its judgement, or with True if it has none yet and the best may be hoped for."""
    for probe, judgement in zip_longest(probes, judged):
        yield probe, judgement or LEFT_OUT, judgement is None or judgement.is_unasked


def _best_value(kind: str) -> Value:
    """Return what a judge can say best; of a plain answer the most, so that the padded one gains the least."""
    if kind in ("first", "second"):
        return kind
    return LARGEST_SCORE if kind in ("reference", "plain") else 0


def _checks(probes: Sequence[Probe], values: Values, *, asked: int) -> tuple[Check, ...]:
    readable = 100 * len(values) / asked if asked else None
    return (
        _check("readable", "replies that can be read, in %", readable, asked, at_least=READABLE_AT_LEAST),
        _mean_check("reference", "the reference as the answer", values, at_least=REFERENCE_AT_LEAST),
        *(
            _worst_check(name, label, probes, values)
            for name, (label, _) in BAD_ANSWERS.items()
            if any(_is_of(name, probe.kind) for probe in probes)
        ),
        *_padding_check(probes, values),
        *_swap_check(probes, values),
    )


def _is_of(check: str, kind: str) -> bool:
    return kind.startswith(INJECTED) if check == "injected" else kind == check


def _worst_check(name: str, label: str, probes: Sequence[Probe], values: Values) -> Check:
    """Check the bad answers of one line; of several texts the one that is scored best counts."""
    kinds = sorted({probe.kind for probe in probes if _is_of(name, probe.kind)})
    checks = [_mean_check(kind, label, values, at_most=BAD_AT_MOST) for kind in kinds]
    worst = max(checks, key=lambda check: -1.0 if check.value is None else check.value)
    return replace(worst, name=name)


def _order(answer: Mapping[str, Any]) -> str:
    return hashlib.sha256(answer["prompt"].encode()).hexdigest()


def _other_reference(answer: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the reference of the next row that has another one; as an answer here it is wrong."""
    begin = next(index for index, one in enumerate(chosen) if one["row"] == answer["row"])
    for one in (*chosen[begin + 1 :], *chosen[:begin]):
        if one["reference"].strip().casefold() != answer["reference"].strip().casefold():
            return one["reference"]
    return None


def _padded(response: str) -> str:
    """Say the same three times: a judge that pays for length pays for this (Zheng et al. 2023, verbosity bias)."""
    return "\n".join([response] * 3)


def _mean_check(
    name: str, label: str, values: Values, *, at_least: float | None = None, at_most: float | None = None
) -> Check:
    scores = [score for (kind, _), score in values.items() if kind == name]
    value = mean(scores) if scores else None
    return _check(name, f"{label}, mean score", value, len(scores), at_least=at_least, at_most=at_most)


def _padding_check(probes: Sequence[Probe], values: Values) -> list[Check]:
    rows = [probe.row for probe in probes if probe.kind == "padded"]
    gains = [
        values["padded", row] - values["plain", row]
        for row in rows
        if ("padded", row) in values and ("plain", row) in values
    ]
    gain = mean(gains) if gains else None
    label = "the same answer three times over, mean gain"
    return [_check("padded", label, gain, len(gains), at_most=PADDING_GAINS_AT_MOST)] if rows else []


def _swap_check(probes: Sequence[Probe], values: Values) -> list[Check]:
    """Count the rows whose reference is preferred to a wrong answer wherever it stands.

    Two ties would agree with each other as well, but a judge that never prefers anything is of no use.
    """
    rows = [probe.row for probe in probes if probe.kind == "first"]
    both = [row for row in rows if ("first", row) in values and ("second", row) in values]
    right = [row for row in both if (values["first", row], values["second", row]) == ("first", "second")]
    share = 100 * len(right) / len(both) if both else None
    label = "the reference preferred in both orders, in %"
    return [_check("swapped", label, share, len(both), at_least=SWAPS_AGREE_AT_LEAST)] if rows else []


def _check(
    name: str,
    label: str,
    value: float | None,
    n: int,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Check:
    wanted = f"at least {at_least}" if at_least is not None else f"at most {at_most}"
    passed = (
        value is not None
        and (at_least is None or value >= at_least)
        and (at_most is None or value <= at_most)
    )
    return Check(name, label, value, wanted, n, passed)
