"""How far preference tuning has come on pairs that were not trained on: towards which answer the model moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tutelage.config.recipe import PreferenceSettings, Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.evaluation.answers.responses import Progress, reference_log_probs
from tutelage.evaluation.compare.scored_rows import ScoredRows, with_preferences
from tutelage.evaluation.eval_sets.sets import Answers
from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs, evaluate, own_verdict
from tutelage.evaluation.metrics.bits_per_byte import bits_per_byte
from tutelage.evaluation.paired.verdict import FEWEST_ROWS, NO_DIFFERENCE, NO_VERDICT, Word
from tutelage.evaluation.stats.intervals import t_interval
from tutelage.evaluation.stats.proportions import mcnemar_p, wilson_interval
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.evaluation.work_ahead import EvaluationAhead, answers_work, scored
from tutelage.model.answer_log_probs import rounding_of
from tutelage.model.forward import CausalModel
from tutelage.objectives.preference.losses import is_by_token
from tutelage.objectives.preference.pairs import rejected_of
from tutelage.objectives.preference.rows import ANSWERS
from tutelage.objectives.sft.evaluation import scored_answer_rows
from tutelage.objectives.spec import EvaluationPart, ReadLines
from tutelage.run.evaluation import Evaluation
from tutelage.run.folder import PREFERENCES, VARIANTS
from tutelage.training.work import Work, reading_work


@dataclass(frozen=True)
class ReadPairs:
    """What both models give both answers of the test rows: arrays (rows, 2), the chosen answer before the rejected.

    `base` and `tuned` are log-probabilities (nats) of whole answers, computed in `dtype`; their `tokens` and `bytes`
    count the end of turn.
    """

    rows: PreparedRows
    base: np.ndarray
    tuned: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray
    dtype: torch.dtype

    def rewards(self, settings: PreferenceSettings) -> np.ndarray:
        """Return beta times what each answer gained, by the mean token where the loss goes by it: (rows, 2)."""
        return settings.beta * (self.tuned - self.base) / self._divisor(settings)

    def margins(self, settings: PreferenceSettings) -> np.ndarray:
        """Return the reward of the chosen answer less that of the rejected one, as it was computed: (rows,)."""
        rewards = self.rewards(settings)
        return rewards[:, 0] - rewards[:, 1]

    def is_tie(self, settings: PreferenceSettings) -> np.ndarray:
        """Tell which margins are within the rounding of the numbers they come from: (rows,)."""
        limits = (self._rounding(self.base) + self._rounding(self.tuned)) / self._divisor(settings)
        return np.abs(self.margins(settings)) <= settings.beta * limits.sum(axis=1)

    def leads(self, variant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell of one model's log-probabilities (rows, 2) where the chosen answer is ahead, and where neither is."""
        lead = variant[:, 0] - variant[:, 1]
        is_tie = np.abs(lead) <= self._rounding(variant).sum(axis=1)
        return (lead > 0) & ~is_tie, is_tie

    def _rounding(self, variant: np.ndarray) -> np.ndarray:
        return rounding_of(variant, self.tokens, self.dtype)  # (rows, 2)

    def _divisor(self, settings: PreferenceSettings) -> Any:
        return self.tokens if is_by_token(settings) else 1


@dataclass
class RejectedReading:
    """What both models give the rejected answers of the test rows, beside the chosen ones that they are scored on."""

    rows: PreparedRows
    rejected: PreparedRows
    settings: PreferenceSettings
    log_probs: dict[str, list[float]] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32

    def read(self, variant: str, model: CausalModel, told: Progress) -> None:
        """Let a model read the rejected answers."""
        advance = told("scores the rejected answers", len(self.rejected))
        self.log_probs[variant] = reference_log_probs(model, self.rejected, progress=advance)
        self.dtype = model.compute_dtype

    def judge(
        self, result: dict[str, Any], records: Mapping[str, Answers], clusters: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Answers]]:
        """Return the figures with those of the preferences, whose verdict decides, and a line for each pair."""
        pairs = read_pairs(self.rows, records, self.log_probs, dtype=self.dtype)
        found = judge_preferences(pairs, self.settings, clusters=clusters, length=result["length"])
        return with_preference(result, found), {PREFERENCES: pair_records(pairs, self.settings)}


def evaluate_preferences(inputs: EvaluationInputs) -> Evaluated:
    """Ask and compare as an instruction tuning does, and find out which of two answers the model moved towards."""
    rows = inputs.split("test")
    rejected = rejected_of(rows)  # which may be gone, before a model is opened
    return evaluate(inputs, rows, RejectedReading(rows, rejected, inputs.trained.recipe.preference))


def preference_work(ahead: EvaluationAhead) -> Work:
    """Return the work of both models: they read the rejected answers too, and answer about as long as before."""
    rejected = scored(rejected_of(ahead.test_rows).examples)
    return answers_work(ahead, keeps_lengths=True) + reading_work(rejected, is_padded=ahead.is_padded).times(
        len(VARIANTS)
    )


def read_pairs(
    rows: PreparedRows,
    chosen: Mapping[str, Sequence[Mapping[str, Any]]],
    rejected: Mapping[str, Sequence[float]],
    *,
    dtype: torch.dtype,
) -> ReadPairs:
    """Put together what each arm gave: the records of its answers, and the log-probabilities of the rejected ones.

    `dtype` is the one that both models computed in.
    """
    second = rejected_of(rows)
    base, tuned = (
        np.column_stack([[one["reference_log_prob"] for one in chosen[variant]], rejected[variant]])
        for variant in ("base", "tuned")
    )
    texts = [[rows[place].response, second[place].response] for place in range(len(rows))]
    return ReadPairs(
        rows,
        base,
        tuned,
        tokens=np.column_stack([one.tokens - one.prompt_tokens for one in (rows, second)]),
        bytes=np.array([[len(text.encode()) + 1 for text in both] for both in texts]),
        dtype=dtype,
    )


def judge_preferences(
    pairs: ReadPairs, settings: PreferenceSettings, *, clusters: np.ndarray, length: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what metrics.json says of them, with the verdict and its sentence.

    A tie counts as not right; the mean margin and its interval are those of all margins as they were computed, since
    ties that counted as 0 would draw them to 0.

    `clusters` (rows,) gives rows whose prompts resemble each other the same label; `length` is that of the answers
    that both models wrote themselves.
    """
    rewards, margins = pairs.rewards(settings), pairs.margins(settings)
    is_tie = pairs.is_tie(settings)
    (before, ties_before), (after, ties_after) = (
        pairs.leads(variant) for variant in (pairs.base, pairs.tuned)
    )
    has_interval = len(np.unique(clusters)) > 1
    low, high = t_interval(margins, clusters) if has_interval else (None, None)
    figures = {
        "rows": len(margins),
        "accuracy": _share((margins > 0) & ~is_tie),
        "ties": int(is_tie.sum()),
        "accuracy_without_ties": None if is_tie.all() else _share(margins[~is_tie] > 0),
        "margin": {"mean": float(margins.mean()), "low": low, "high": high},
        "rewards": {side: float(rewards[:, place].mean()) for place, side in enumerate(ANSWERS)},
        "chosen_likelier": {
            "base": {**_share(before), "ties": int(ties_before.sum())},
            "tuned": {**_share(after), "ties": int(ties_after.sum())},
            "p": mcnemar_p(before, after),
        },
        "bits_per_byte": {side: _bits(pairs, place, clusters) for place, side in enumerate(ANSWERS)},
    }
    word = _word(figures["accuracy_without_ties"], len(np.unique(clusters[~is_tie])))
    return {**figures, "verdict": word, "sentence": _sentence(word, figures, length)}


def pair_records(pairs: ReadPairs, settings: PreferenceSettings) -> list[dict[str, Any]]:
    """Return a line for each row as preferences.jsonl has it."""
    second = rejected_of(pairs.rows)
    margins, is_tie = pairs.margins(settings), pairs.is_tie(settings)
    return [
        {
            "row": row.example.row,
            "prompt": row.prompt,
            "chosen": row.response,
            "rejected": second[place].response,
            "margin": float(margins[place]),
            "is_tie": bool(is_tie[place]),
            **{
                variant: {side: float(found[place, at]) for at, side in enumerate(ANSWERS)}
                for variant, found in (("base", pairs.base), ("tuned", pairs.tuned))
            },
        }
        for place, row in enumerate(pairs.rows)
    ]


def with_preference(result: dict[str, Any], preference: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a preference tuning: its own verdict decides, that on the answers stands beside it."""
    verdict, sentence = preference.pop("verdict"), preference.pop("sentence")
    own = own_verdict(result, verdict, sentence, references="chosen")
    return {**result, **own, "preference": preference}


def _share(right: np.ndarray) -> dict[str, float]:
    share = float(right.mean())
    low, high = wilson_interval(share, len(right))
    return {"value": share, "low": low, "high": high}


def _bits(pairs: ReadPairs, place: int, clusters: np.ndarray) -> dict[str, float | None]:
    base, tuned = (
        np.array(
            [
                bits_per_byte(total, count)
                for total, count in zip(variant[:, place], pairs.bytes[:, place], strict=True)
            ]
        )
        for variant in (pairs.base, pairs.tuned)
    )
    one = paired_difference(base, tuned, clusters)
    return {
        "base": one.base,
        "tuned": one.tuned,
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
    }


def _word(accuracy: Mapping[str, float] | None, clusters: int) -> Word:
    """Judge by whether the interval of the share leaves out one half, which chance would reach.

    The share is that of the pairs without ties: a tie speaks for neither answer.
    """
    if accuracy is None:
        return NO_DIFFERENCE
    if clusters < FEWEST_ROWS:
        return NO_VERDICT
    if accuracy["low"] <= 0.5 <= accuracy["high"]:
        return NO_DIFFERENCE
    return "better" if accuracy["low"] > 0.5 else "worse"


def _sentence(word: Word, figures: Mapping[str, Any], length: Mapping[str, Any] | None) -> str:
    accuracy, likelier, ties = figures["accuracy_without_ties"], figures["chosen_likelier"], figures["ties"]
    if accuracy is None:
        moved = f"On all {figures['rows']:,} test pairs the margin is within rounding error (a tie): {word}."
    else:
        apart = f" ({ties:,} more are ties: their margin is within rounding error)" if ties else ""
        moved = (
            f"On {accuracy['value']:.1%} of {figures['rows'] - ties:,} test pairs{apart} the fine-tuned"
            f" model moved towards the chosen answer (95 % interval {accuracy['low']:.1%} to"
            f" {accuracy['high']:.1%}; chance is 50 %): {word}."
        )
    told = (
        f"{moved} It gives the chosen answer the higher probability on {likelier['tuned']['value']:.1%}, the"
        f" base model on {likelier['base']['value']:.1%}."
    )
    if length is not None:
        told += (
            f" The mean length of its own answers went from {length['base']:.1f} to {length['tuned']:.1f}"
            " tokens."
        )
    return told.replace("%", " %").replace("  %", " %")


def scored_pairs(read_lines: ReadLines, recipe: Recipe, evaluation: Evaluation) -> ScoredRows:
    """Return what each pair and each answer scored."""
    return with_preferences(scored_answer_rows(read_lines, recipe, evaluation), read_lines(PREFERENCES))


EVALUATION = EvaluationPart(evaluate_preferences, preference_work, scored_pairs)
