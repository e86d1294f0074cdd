"""Scores one answer against its reference in six ways, and pairs the scores of two models by row."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics.chrf import CHRF

from tutelage.errors import RunFolderError
from tutelage.evaluation.metrics.words import same_text, words
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.run.functions import FunctionSource


@dataclass(frozen=True)
class Metric:
    """What people need to know to read a metric; values are in `unit`."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    meaning: str

    def gain(self, difference: float) -> float:
        """Turn tuned minus base into a number that is positive where the tuned model is better."""
        return difference if self.higher_is_better else -difference


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="exact_match",
            label="Exact match",
            unit="%",
            higher_is_better=True,
            decimals=1,
            meaning="share of answers equal to the reference; only white space is forgiven, case is not",
        ),
        Metric(
            name="token_f1",
            label="Token F1",
            unit="points",
            higher_is_better=True,
            decimals=1,
            meaning="words shared with the reference, in any order; 0 none, 100 all and no others",
        ),
        Metric(
            name="rouge_l",
            label="ROUGE-L",
            unit="points",
            higher_is_better=True,
            decimals=1,
            meaning="longest run of words shared with the reference in the same order, gaps allowed",
        ),
        Metric(
            name="chrf",
            label="chrF",
            unit="points",
            higher_is_better=True,
            decimals=1,
            meaning="pieces of one to six characters shared with the reference; kind to spelling and endings",
        ),
        Metric(
            name="stopped",
            label="Stopped by itself",
            unit="%",
            higher_is_better=True,
            decimals=1,
            meaning="share of answers that the model ended itself, before the limit of tokens",
        ),
        Metric(
            name="bits_per_byte",
            label="Bits per byte",
            unit="bits per byte",
            higher_is_better=False,
            decimals=3,
            meaning="how surprised the model is by the reference answer; 0 would be certainty",
        ),
    )
}


@dataclass(frozen=True)
class OwnMetric:
    """A metric that is a function of the user's own; it scores an answer, a line of base.jsonl."""

    name: str
    source: FunctionSource
    score: Callable[[Mapping[str, Any]], float]


def metric_named(name: str) -> Metric:
    """Return a metric by its name; one that is not ours is a function of the user's own."""
    own = Metric(
        name, label=name, unit="", higher_is_better=True, decimals=3, meaning="a function of your own"
    )
    return METRICS.get(name, own)


@dataclass(frozen=True)
class PairedScores:
    """The scores of both models on the same rows: each array is (rows,), in the order of `rows`.

    `clusters` gives rows whose prompts resemble each other the same label; the tokens are those of the answers.
    """

    rows: tuple[int, ...]
    base: Mapping[str, np.ndarray]
    tuned: Mapping[str, np.ndarray]
    clusters: np.ndarray
    base_tokens: np.ndarray
    tuned_tokens: np.ndarray

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line for each row as scores.jsonl has it."""
        return [
            {
                "row": row,
                "cluster": self.rows[self.clusters[index]],
                **{
                    arm: {name: float(values[name][index]) for name in values}
                    for arm, values in (("base", self.base), ("tuned", self.tuned))
                },
            }
            for index, row in enumerate(self.rows)
        ]


def read_scores(
    lines: Sequence[Mapping[str, Any]],
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
) -> PairedScores:
    """Return what `score_rows` found, from the lines of scores.jsonl; nothing is scored again.

    RunFolderError where the answers are not those of the same rows.
    """
    base_by_row, tuned_by_row = _by_row(base, "base"), _by_row(tuned, "tuned")
    _refuse_unpaired(base_by_row, tuned_by_row)
    by_row = {line["row"]: line for line in lines}
    rows = tuple(sorted(base_by_row))
    if by_row.keys() != base_by_row.keys():
        raise RunFolderError(
            "run.answers_unpaired",
            f"There are scores of {len(by_row)} rows and answers to {len(rows)}. Run `tutelage evaluate` again, so that"
            " each answer has its score.",
        )
    names = dict.fromkeys([*METRICS, *(name for line in lines for name in line["tuned"])])
    scores = {
        arm: {name: np.array([by_row[row][arm][name] for row in rows], dtype=np.float64) for name in names}
        for arm in ("base", "tuned")
    }
    places = {row: place for place, row in enumerate(rows)}
    clusters = np.array([places[by_row[row]["cluster"]] for row in rows])
    lengths = (_lengths(base_by_row, rows), _lengths(tuned_by_row, rows))
    return PairedScores(rows, scores["base"], scores["tuned"], clusters, *lengths)


def score_rows(
    base: Sequence[Mapping[str, Any]], tuned: Sequence[Mapping[str, Any]], own: Sequence[OwnMetric] = ()
) -> PairedScores:
    """Score the answers of both models, by `own` metrics too, and pair them by row id, never by position."""
    base_by_row, tuned_by_row = _by_row(base, "base"), _by_row(tuned, "tuned")
    _refuse_unpaired(base_by_row, tuned_by_row)
    rows = tuple(sorted(base_by_row))
    return PairedScores(
        rows,
        score_answers([base_by_row[row] for row in rows], own),
        score_answers([tuned_by_row[row] for row in rows], own),
        cluster_rows([tuned_by_row[row]["prompt"] for row in rows]),
        _lengths(base_by_row, rows),
        _lengths(tuned_by_row, rows),
    )


def _by_row(answers: Sequence[Mapping[str, Any]], arm: str) -> dict[int, Mapping[str, Any]]:
    repeated = [row for row, count in Counter(answer["row"] for answer in answers).items() if count > 1]
    if repeated:
        raise RunFolderError(
            "run.answers_repeated",
            f"The {arm} model's answers hold row {min(repeated)} more than once."
            " Run `tutelage evaluate` again to collect them afresh.",
        )
    return {answer["row"]: answer for answer in answers}


def _refuse_unpaired(base: Mapping[int, Any], tuned: Mapping[int, Any]) -> None:
    unpaired = sorted(base.keys() ^ tuned.keys())
    if unpaired:
        raise RunFolderError(
            "run.answers_unpaired",
            f"The base model answered {len(base)} rows and the tuned model {len(tuned)}, and"
            f" {len(unpaired)} of them have only one answer, row {unpaired[0]} for one."
            " Run `tutelage evaluate` again, so that both answer the same rows.",
        )


def _lengths(answers: Mapping[int, Mapping[str, Any]], rows: Sequence[int]) -> np.ndarray:
    return np.array([answers[row]["response_tokens"] for row in rows], dtype=np.float64)  # (rows,)


def score_answers(
    answers: Sequence[Mapping[str, Any]], own: Sequence[OwnMetric] = ()
) -> dict[str, np.ndarray]:
    """Score answers by every metric: arrays (rows,) in the order given."""
    scores = [{**score(answer), **{one.name: one.score(answer) for one in own}} for answer in answers]
    names = [*METRICS, *(one.name for one in own)]
    return {name: np.array([one[name] for one in scores], dtype=np.float64) for name in names}  # (rows,)


def score(answer: Mapping[str, Any]) -> dict[str, float]:
    """Score one answer with every metric, in the units of `METRICS`."""
    response, reference = answer["response"], answer["reference"]
    return {
        "exact_match": 100 * float(exact_match(response, reference)),
        "token_f1": 100 * token_f1(response, reference),
        "rouge_l": 100 * rouge_l(response, reference),
        "chrf": chrf(response, reference),
        "stopped": 100 * float(answer["stopped"]),
        "bits_per_byte": bits_per_byte(answer["reference_log_prob"], answer["reference_bytes"]),
    }


def exact_match(response: str, reference: str) -> bool:
    """Tell whether the two are equal once runs of white space are one space; case and punctuation count.

    Two ways to encode one character, as é by itself and as e with an accent, look the same and are equal.
    """
    return same_text(response) == same_text(reference)


def token_f1(response: str, reference: str) -> float:
    """Return the harmonic mean of precision and recall over the multiset of words, 0 to 1.

    After Rajpurkar et al. 2016 (SQuAD), without its list of English articles, so that every language is
    treated alike. Where one side has no word at all, as in "+" or an empty text, only equality counts.
    """
    given, wanted = Counter(words(response)), Counter(words(reference))
    if not given or not wanted:
        return float(exact_match(response, reference))
    shared = (given & wanted).total()
    return 2 * shared / (given.total() + wanted.total())


def rouge_l(response: str, reference: str) -> float:
    """Return the F-measure of the longest common subsequence of words, 0 to 1 (Lin 2004).

    Where one side has no word at all only equality counts, as in `token_f1`; rouge-score would give two equal ones 0.
    """
    if not words(response) or not words(reference):
        return float(exact_match(response, reference))
    return float(_ROUGE.score(reference, response)["rougeL"].fmeasure)


def chrf(response: str, reference: str) -> float:
    """Return the sentence chrF of sacrebleu, 0 to 100 (Popović 2015: six characters, beta 2), of composed texts."""
    composed = [unicodedata.normalize("NFC", text) for text in (response, reference)]
    return _CHRF.sentence_score(composed[0], [composed[1]]).score


def bits_per_byte(log_prob: float, reference_bytes: int) -> float:
    """Turn a reference's log-probability in nats into bits per byte, which compares across tokenizers."""
    return -log_prob / math.log(2) / reference_bytes


class _Words(Tokenizer):
    """Gives rouge-score our words: its own tokenizer drops every letter outside a-z."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


_ROUGE = RougeScorer(["rougeL"], tokenizer=_Words())
_CHRF = CHRF()
