"""Scores, preferences and nulls of one judge: pairing by row, bounds, when there is no claim (properties 36, 44)."""

import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tutelage.evaluation.judge.results import ORDERS, outcomes, summarise_judge
from tutelage.evaluation.judge.self_test import Check, SelfTest
from tutelage.evaluation.stats.statistics import paired_difference

PASSED = SelfTest((Check("reference", "the reference, mean score", 97.0, "at least 90", 20, True),), 0)
FAILED = SelfTest(
    (Check("injected", "an answer that asks for 100, mean score", 95.0, "at most 20", 20, False),), 0
)


def scores(n: int, *, gain: int = 20, seed: int = 1) -> dict[tuple[int, str], int | None]:
    dice = random.Random(seed)
    found: dict[tuple[int, str], int | None] = {}
    for row in range(n):
        found[row, "base"] = dice.randint(0, 60)
        found[row, "tuned"] = min(100, max(0, (found[row, "base"] or 0) + gain + dice.randint(-20, 20)))
    return found


def preferences(pairs: list[tuple[str | None, str | None]]) -> dict[tuple[int, str], str | None]:
    return {
        (row, order): value
        for row, pair in enumerate(pairs)
        for order, value in zip(ORDERS, pair, strict=True)
    }


def summary(
    given: dict[tuple[int, str], int | None],
    preferred: dict[tuple[int, str], str | None] | None = None,
    *,
    self_test: SelfTest = PASSED,
    lengths: dict[str, list[int]] | None = None,
    labels: dict[tuple[int, str], float] | None = None,
    clusters: np.ndarray | None = None,
) -> dict[str, Any]:
    rows = sorted({row for row, _ in given})
    return summarise_judge(
        "ollama:judge",
        rows,
        given,
        preferred or {(row, order): "tie" for row in rows for order in ORDERS},
        self_test,
        clusters=np.arange(len(rows)) if clusters is None else clusters,
        lengths=lengths or {"base": [10] * len(rows), "tuned": [10] * len(rows)},
        labels=labels,
        notes=[],
    )


def test_the_difference_is_the_paired_one_of_the_rows() -> None:
    given = scores(110)
    found = summary(given)
    base, tuned = (
        np.array([given[row, variant] for row in range(110)], dtype=float) for variant in ("base", "tuned")
    )
    wanted = paired_difference(base, tuned)
    assert (found["score"]["difference"], found["score"]["low"]) == (wanted.difference, wanted.low)
    assert found["verdict"] == "better" and found["trusted"]
    assert "score by ollama:judge rose" in found["sentence"]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("choice", ["random", "adversarial"])
def test_missing_scores_are_missing_for_both_and_pairing_stays(k: int, choice: str) -> None:
    given = scores(110)
    gains = {row: (given[row, "tuned"] or 0) - (given[row, "base"] or 0) for row in range(110)}
    lost = (
        random.Random(7).sample(range(110), k)
        if choice == "random"
        else sorted(gains, key=lambda row: gains[row])[:k]
    )
    for row in lost:
        given[row, "tuned"] = None
    found = summary(given)
    kept = [gain for row, gain in gains.items() if row not in lost]
    assert found["score"]["difference"] == pytest.approx(np.mean(kept))
    assert (found["missing_scores"], found["trusted"]) == (k, True)
    # What the whole would have been lies between the bounds, however the lost rows were chosen.
    assert found["bounds"]["worst"] <= np.mean(list(gains.values())) <= found["bounds"]["best"]


def test_the_bounds_take_the_score_that_is_there() -> None:
    found = summary({(0, "base"): 30, (0, "tuned"): None, (1, "base"): 40, (1, "tuned"): 50})
    assert found["bounds"] == {"worst": (0 - 30 + 10) / 2, "best": (100 - 30 + 10) / 2}
    found = summary({(0, "base"): None, (0, "tuned"): None, (1, "base"): 40, (1, "tuned"): 50})
    assert found["bounds"] == {"worst": (-100 + 10) / 2, "best": (100 + 10) / 2}


def test_pairing_by_position_would_have_given_another_difference() -> None:
    given = scores(20, gain=0)
    given[3, "tuned"] = None
    by_position = [given[row, "tuned"] for row in range(20) if row != 3]
    wrong = np.array(by_position) - np.array([given[row, "base"] for row in range(19)])
    assert summary(given)["score"]["difference"] != pytest.approx(float(np.mean(wrong)))


@pytest.mark.parametrize(("k", "claims"), [(5, True), (6, False), (20, False), (110, False)])
def test_more_than_5_percent_nulls_forbid_a_claim(k: int, claims: bool) -> None:
    given = scores(110)
    for row in range(k):
        given[row, "base"] = None
    found = summary(given)
    assert found["trusted"] == claims
    assert (found["verdict"] == "better") == claims
    if not claims:
        assert f"{k} of 110 rows have no pair of scores" in found["sentence"]


def test_a_judge_that_fails_its_self_test_makes_no_verdict() -> None:
    found = summary(scores(110), self_test=FAILED)
    assert (found["trusted"], found["verdict"]) == (False, "no verdict")
    assert "not trustworthy on this data" in found["sentence"] and "asks for 100" in found["sentence"]
    assert found["score"]["difference"] is not None  # shown, but not believed


def test_an_unfinished_self_test_is_not_a_failed_one() -> None:
    found = summary(scores(110), self_test=SelfTest(FAILED.checks, unanswered=7))
    assert "self-test is not finished, because 7 of its requests" in found["sentence"]
    assert "not trustworthy" not in found["sentence"]


def test_a_win_counts_only_if_both_orders_agree() -> None:
    given = preferences(
        [
            ("tuned", "tuned"),
            ("base", "base"),
            ("base", "tuned"),  # always the first
            ("tuned", "base"),  # always the second
            ("tie", "tie"),
            ("tuned", "tie"),
            ("tuned", None),
            (None, None),
        ]
    )
    found = outcomes(range(8), given)
    assert (found.win, found.tie, found.loss, found.missing, found.disagreeing) == (1, 4, 1, 2, 3)


def test_a_judge_that_prefers_the_first_wins_nobody_anything() -> None:
    given = preferences([("base", "tuned")] * 40)
    found = summary(scores(40), given)["preference"]
    assert (found["win"], found["tie"], found["swaps_agree"], found["win_rate"]) == (0, 40, 0, None)


def test_a_question_asked_five_times_does_not_look_like_five_proofs() -> None:
    given, again = (
        scores(22),
        {
            (5 * row + copy, variant): score
            for (row, variant), score in scores(22).items()
            for copy in range(5)
        },
    )
    pairs = [("tuned", "tuned")] * 14 + [("base", "base")] * 8
    once = summary(given, preferences(pairs))
    alike = np.repeat(np.arange(22), 5)
    repeated = summary(again, preferences([pair for pair in pairs for _ in range(5)]), clusters=alike)
    for figures, low, high in (("score", "low", "high"), ("preference", "low", "high")):
        for end in (low, high):
            assert repeated[figures][end] == pytest.approx(once[figures][end], rel=0.02)
    apart = summary(again, preferences([pair for pair in pairs for _ in range(5)]))
    for figures in ("score", "preference"):
        assert apart[figures]["high"] - apart[figures]["low"] < 0.6 * (
            once[figures]["high"] - once[figures]["low"]
        )


def test_the_share_of_wins_has_wilsons_interval_and_bounds() -> None:
    given = preferences(
        [("tuned", "tuned")] * 12 + [("base", "base")] * 4 + [("tie", "tie")] * 3 + [(None, "tuned")]
    )
    found = summary(scores(20), given)["preference"]
    z = stats.norm.ppf(0.975)  # Wilson 1927, by hand
    centre = (12 / 16 + z**2 / 32) / (1 + z**2 / 16)
    half = z * np.sqrt(12 / 16 * 4 / 16 / 16 + z**2 / (4 * 16**2)) / (1 + z**2 / 16)
    assert (found["win_rate"], found["swaps_agree"]) == (75, 100)
    assert (found["low"], found["high"]) == pytest.approx((100 * (centre - half), 100 * (centre + half)))
    assert (found["worst_win_rate"], found["best_win_rate"]) == pytest.approx((100 * 12 / 17, 100 * 13 / 17))


def test_swap_consistency_and_lengths_are_always_told() -> None:
    found = summary(scores(30))
    assert found["preference"]["swaps_agree"] == 100
    assert (found["length"]["base_tokens"], found["length"]["tuned_tokens"]) == (10, 10)
    assert found["length"]["adjusted_difference"] is None  # no length differs, so nothing can be told


def test_the_adjusted_difference_is_what_is_left_at_equal_length() -> None:
    dice = np.random.default_rng(2)
    base_tokens, tuned_tokens = dice.integers(5, 20, 60), dice.integers(10, 60, 60)
    longer = np.log1p(tuned_tokens) - np.log1p(base_tokens)
    gain = np.round(4 + 10 * longer)  # four points by themselves, the rest by length
    given: dict[tuple[int, str], int | None] = {}
    for row in range(60):
        given[row, "base"], given[row, "tuned"] = 20, int(20 + gain[row])
    found = summary(given, lengths={"base": base_tokens.tolist(), "tuned": tuned_tokens.tolist()})
    assert found["length"]["adjusted_difference"] == pytest.approx(4, abs=0.3)
    assert found["score"]["difference"] > 10


def test_labels_are_compared_where_both_are() -> None:
    given = scores(30)
    given[0, "base"] = None
    labels = {
        (row, variant): float(given[row, variant] or 0) for row in range(10) for variant in ("base", "tuned")
    }
    found = summary(given, labels=labels)["labels"]
    assert (found["agreement"]["n"], found["agreement"]["bias"]) == (19, 0)
    assert found["corrected"]["n"] == 9
    assert summary(given)["labels"] is None
