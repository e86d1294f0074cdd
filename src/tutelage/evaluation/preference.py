"""How far preference tuning has come on pairs that were not trained on: towards which answer the model moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.prepared_rows import PreparedRows
from tutelage.evaluation.intervals import t_interval
from tutelage.evaluation.metrics import bits_per_byte
from tutelage.evaluation.shares import mcnemar_p, wilson_interval
from tutelage.evaluation.statistics import paired_difference
from tutelage.evaluation.verdict import FEWEST_ROWS, NO_DIFFERENCE, Word
from tutelage.recipe import PreferenceSettings

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class ReadPairs:
    """What both models give both answers of the test rows: arrays (rows, 2), the chosen answer before the rejected.

    `base` and `tuned` are log-probabilities (nats) of whole answers, whose `tokens` and `bytes` count the end of turn.
    """

    rows: PreparedRows
    base: np.ndarray
    tuned: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray

    def rewards(self, settings: PreferenceSettings) -> np.ndarray:
        """Return beta times what each answer gained, by the mean token where the loss goes by it: (rows, 2)."""
        by_token = settings.length_normalised or settings.loss in ("orpo", "simpo")
        return settings.beta * (self.tuned - self.base) / (self.tokens if by_token else 1)


def read_pairs(
    rows: PreparedRows,
    chosen: Mapping[str, Sequence[Mapping[str, Any]]],
    rejected: Mapping[str, Sequence[float]],
) -> ReadPairs:
    """Put together what each arm gave: the records of its answers, and the log-probabilities of the rejected ones."""
    assert rows.rejected is not None, "preferences are about pairs"
    base, tuned = (
        np.column_stack([[one["reference_log_prob"] for one in chosen[arm]], rejected[arm]])
        for arm in ("base", "tuned")
    )
    texts = [[rows[place].response, rows.rejected[place].response] for place in range(len(rows))]
    return ReadPairs(
        rows,
        base,
        tuned,
        tokens=np.column_stack([side.tokens - side.prompt_tokens for side in rows.sides]),
        bytes=np.array([[len(text.encode()) + 1 for text in both] for both in texts]),
    )


def judge_preferences(
    pairs: ReadPairs, settings: PreferenceSettings, *, clusters: np.ndarray, length: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what metrics.json says of them, with the verdict and its sentence.

    `clusters` (rows,) gives rows whose prompts resemble each other the same label; `length` is that of the answers
    that both models wrote themselves.
    """
    rewards = pairs.rewards(settings)
    margins = rewards[:, 0] - rewards[:, 1]
    accuracy = _share(margins > 0)
    before, after = (arm[:, 0] > arm[:, 1] for arm in (pairs.base, pairs.tuned))
    has_interval = len(np.unique(clusters)) > 1
    low, high = t_interval(margins, clusters) if has_interval else (None, None)
    figures = {
        "rows": len(margins),
        "accuracy": accuracy,
        "margin": {"mean": float(margins.mean()), "low": low, "high": high},
        "rewards": {side: float(rewards[:, place].mean()) for place, side in enumerate(SIDES)},
        "chosen_likelier": {
            "base": _share(before),
            "tuned": _share(after),
            "p": mcnemar_p(before, after),
        },
        "bits_per_byte": {side: _bits(pairs, place, clusters) for place, side in enumerate(SIDES)},
    }
    word = _word(accuracy, len(np.unique(clusters)))
    return {**figures, "verdict": word, "sentence": _sentence(word, figures, length)}


def pair_records(pairs: ReadPairs, settings: PreferenceSettings) -> list[dict[str, Any]]:
    """Return a line for each row as preferences.jsonl has it."""
    assert pairs.rows.rejected is not None, "preferences are about pairs"
    rewards = pairs.rewards(settings)
    return [
        {
            "row": row.example.row,
            "prompt": row.prompt,
            "chosen": row.response,
            "rejected": pairs.rows.rejected[place].response,
            "margin": float(rewards[place, 0] - rewards[place, 1]),
            **{
                arm: {side: float(found[place, at]) for at, side in enumerate(SIDES)}
                for arm, found in (("base", pairs.base), ("tuned", pairs.tuned))
            },
        }
        for place, row in enumerate(pairs.rows)
    ]


def _share(right: np.ndarray) -> dict[str, float]:
    share = float(right.mean())
    low, high = wilson_interval(share, len(right))
    return {"value": share, "low": low, "high": high}


def _bits(pairs: ReadPairs, place: int, clusters: np.ndarray) -> dict[str, float | None]:
    base, tuned = (
        np.array(
            [
                bits_per_byte(total, count)
                for total, count in zip(arm[:, place], pairs.bytes[:, place], strict=True)
            ]
        )
        for arm in (pairs.base, pairs.tuned)
    )
    one = paired_difference(base, tuned, clusters)
    return {
        "base": one.base,
        "tuned": one.tuned,
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
    }


def _word(accuracy: Mapping[str, float], clusters: int) -> Word:
    """Judge by whether the interval of the share leaves out one half, which chance would reach."""
    if clusters < FEWEST_ROWS or accuracy["low"] <= 0.5 <= accuracy["high"]:
        return NO_DIFFERENCE
    return "better" if accuracy["low"] > 0.5 else "worse"


def _sentence(word: Word, figures: Mapping[str, Any], length: Mapping[str, Any] | None) -> str:
    accuracy, likelier = figures["accuracy"], figures["chosen_likelier"]
    told = (
        f"On {accuracy['value']:.1%} of {figures['rows']:,} test pairs the tuned model moved towards the chosen answer"
        f" (95 % interval {accuracy['low']:.1%} to {accuracy['high']:.1%}; chance is 50 %): {word}. It finds the chosen"
        f" answer the likelier one on {likelier['tuned']['value']:.1%}; the base model did on"
        f" {likelier['base']['value']:.1%}."
    )
    if length is not None:
        told += f" Its own answers went from {length['base']:.1f} to {length['tuned']:.1f} tokens."
    return told.replace("%", " %").replace("  %", " %")
