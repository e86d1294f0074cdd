from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from tutelage.evaluation.stats.paired_f1 import f1_of, macro_f1, micro_f1, paired_f1

AVERAGES = {"macro": macro_f1, "micro": micro_f1}
LABELS = 3


def labels(classes):
    return np.eye(LABELS, dtype=bool)[classes]


def spoiled(classes, share, seed):
    """The classes with some of them drawn anew."""
    chance = np.random.default_rng(seed)
    other = chance.integers(LABELS, size=len(classes))
    return np.where(chance.random(len(classes)) < share, other, classes)


def by_scikit_learn(wanted, given, average):
    return f1_score(wanted, given, average=average, zero_division=1.0 if average == "micro" else 0.0)


WANTED = np.random.default_rng(0).choice(LABELS, p=[0.6, 0.3, 0.1], size=120)
BASE, TUNED = spoiled(WANTED, 0.5, 1), spoiled(WANTED, 0.2, 2)
ROWS = np.arange(len(WANTED))


def macro(wanted, given):
    """Macro F1 written out, for scikit-learn's is slow on thousands of samples."""
    hits = [((wanted == label) & (given == label)).sum() for label in range(LABELS)]
    both = [(wanted == label).sum() + (given == label).sum() for label in range(LABELS)]
    return np.mean([2 * hit / max(total, 1) for hit, total in zip(hits, both, strict=True)])


def difference(rows):
    return macro(WANTED[rows], TUNED[rows]) - macro(WANTED[rows], BASE[rows])


def compared(base=BASE, tuned=TUNED, clusters=ROWS, average=macro_f1):
    return paired_f1(labels(WANTED), [labels(base)], [labels(tuned)], clusters, average)


@pytest.mark.parametrize("average", AVERAGES)
def test_f1_is_scikit_learns_of_one_label_a_row_and_of_several(average):
    chance = np.random.default_rng(3)
    several = chance.random((50, LABELS)) < 0.4, chance.random((50, LABELS)) < 0.4
    for wanted, given in [(labels(WANTED), labels(TUNED)), several]:
        assert f1_of(wanted, given, AVERAGES[average]) == pytest.approx(
            by_scikit_learn(wanted, given, average)
        )
    means = [by_scikit_learn(*several, one) for one in AVERAGES]
    assert means[0] != pytest.approx(means[1], abs=1e-4), "one average in place of the other is seen"


def test_a_label_that_nobody_wants_or_gives_counts_as_0_and_no_decision_at_all_as_1():
    nothing = np.zeros((4, LABELS), dtype=bool)
    assert f1_of(nothing, nothing, macro_f1) == 0
    assert f1_of(nothing, nothing, micro_f1) == 1


def widened(count):
    """The level at which scipy's interval is as wide as Hesterberg widens it for so many clusters."""
    reach = np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1)
    return 2 * stats.norm.cdf(reach) - 1


def test_the_interval_is_scipys_bootstrap_of_paired_rows():
    measured, bootstrap = compared()
    expected = stats.bootstrap(
        (ROWS,),
        difference,
        method="BCa",
        vectorized=False,
        n_resamples=2000,
        confidence_level=widened(len(ROWS)),
        random_state=np.random.default_rng(4),
    ).confidence_interval
    by_hand = [by_scikit_learn(WANTED, given, "macro") for given in (BASE, TUNED)]
    assert measured.difference == pytest.approx(by_hand[1] - by_hand[0])
    assert (measured.low, measured.high) == pytest.approx((expected.low, expected.high), abs=0.012)
    assert (bootstrap.bca_low, bootstrap.bca_high) == (measured.low, measured.high)


def test_rows_drawn_for_each_side_by_itself_would_be_less_sure():
    chance = np.random.default_rng(5)
    drawn = chance.integers(len(ROWS), size=(2, 1000, len(ROWS)))
    apart = [
        macro(WANTED[after], TUNED[after]) - macro(WANTED[before], BASE[before])
        for before, after in zip(*drawn, strict=True)
    ]
    measured, _ = compared()
    low, high = np.quantile(apart, (0.025, 0.975))
    assert high - low > 1.1 * (measured.high - measured.low)


def test_rows_that_are_said_twice_make_nothing_surer_if_they_are_one_cluster():
    twice = np.concatenate([ROWS, ROWS])
    wanted, base, tuned = (labels(one[twice]) for one in (WANTED, BASE, TUNED))
    once, _ = compared()
    together, _ = paired_f1(wanted, [base], [tuned], twice, macro_f1)
    alone, _ = paired_f1(wanted, [base], [tuned], np.arange(len(twice)), macro_f1)
    assert (together.low, together.high) == pytest.approx((once.low, once.high))
    assert (together.n, together.clusters) == (2 * once.n, once.clusters)
    assert alone.high - alone.low < 0.8 * (once.high - once.low)


def test_p_is_the_share_of_all_ways_to_swap_the_sides():
    few = np.flatnonzero(BASE != TUNED)[:9]
    same = np.flatnonzero(BASE == TUNED)[:20]
    rows = np.concatenate([few, same])
    wanted, base, tuned = WANTED[rows], BASE[rows], TUNED[rows]
    _, bootstrap = paired_f1(labels(wanted), [labels(base)], [labels(tuned)], rows, macro_f1)

    def swapped(signs):
        swap = np.array([*signs, *[False] * len(same)])
        first, second = np.where(swap, tuned, base), np.where(swap, base, tuned)
        return by_scikit_learn(wanted, second, "macro") - by_scikit_learn(wanted, first, "macro")

    ways = [abs(swapped(signs)) for signs in product((False, True), repeat=len(few))]
    seen = abs(swapped((False,) * len(few)))
    assert bootstrap.p == pytest.approx(np.mean([one >= seen - 1e-12 for one in ways]))
    rightness = (tuned == wanted).astype(float) - (base == wanted)
    flips = [
        abs(sum(sign * one for sign, one in zip(signs, rightness[: len(few)], strict=True)))
        for signs in product((-1, 1), repeat=len(few))
    ]
    assert bootstrap.p != pytest.approx(np.mean([one >= abs(rightness.sum()) for one in flips])), (
        "the p of the accuracy is another"
    )


def test_seeds_are_the_mean_of_their_f1_and_not_more_rows():
    again = spoiled(WANTED, 0.3, 6)
    measured, _ = paired_f1(labels(WANTED), [labels(BASE)], [labels(TUNED), labels(again)], ROWS, macro_f1)
    means = [by_scikit_learn(WANTED, given, "macro") for given in (TUNED, again)]
    assert measured.tuned == pytest.approx(np.mean(means))
    assert (measured.n, measured.clusters) == (len(ROWS), len(ROWS))


def test_the_same_labels_are_no_difference_and_rows_are_counted_by_their_own_f1():
    same, bootstrap = compared(tuned=BASE)
    assert (same.difference, same.low, same.equal, bootstrap.p) == (0, None, len(ROWS), 1)
    measured, _ = compared()
    right, was = TUNED == WANTED, BASE == WANTED
    assert (measured.higher, measured.lower) == ((right & ~was).sum(), (was & ~right).sum())
    assert measured.higher > measured.lower
