"""Preference tunings compared: pair by pair, and by the answers that the models write."""

import numpy as np
import pytest
from scipy import stats
from support.compared import compare_folders
from support.fake_labels import make_preference_run, rewrite_preference_figures
from support.fake_run import RECIPE, make_run

from tutelage.errors import RunFolderError
from tutelage.run.folder import PREFERENCES, write_json_lines, write_text
from tutelage.run.lines import read_json_lines

ROWS = 50
LUCK = np.random.default_rng(3)
OF_ROW = LUCK.normal(
    1, 3, ROWS
)  # a margin that belongs to the pair, so that wrongly paired rows have a wide interval
BETTER = OF_ROW + LUCK.normal(1.5, 0.5, ROWS)


@pytest.fixture
def runs(tmp_path):
    """Two runs whose betas differ."""
    return [
        make_preference_run(tmp_path / "one", OF_ROW),
        make_preference_run(tmp_path / "other", BETTER, beta=0.3),
    ]


def compared(runs):
    return compare_folders(runs, runs[0])


def clustered_interval(differences, run):
    """Liang and Zeger's interval of a mean, by the clusters that the evaluation wrote down."""
    clusters = np.array([line["cluster"] for line in read_json_lines(run.scores)])
    residuals = [(differences - differences.mean())[clusters == one].sum() for one in np.unique(clusters)]
    count = len(residuals)
    error = np.sqrt(count / (count - 1) * np.sum(np.square(residuals))) / len(differences)
    reach = stats.t.ppf(0.975, count - 1) * error
    return differences.mean() - reach, differences.mean() + reach


def test_the_margin_is_paired_in_nats_whatever_beta_is(runs):
    result = compared(runs)
    one = result.groups[1].comparison.measured["preference_margin"]
    assert (one.base, one.tuned) == pytest.approx((OF_ROW.mean(), BETTER.mean()))
    assert (one.low, one.high) == pytest.approx(clustered_interval(BETTER - OF_ROW, runs[0]))
    with_beta = [0.1 * OF_ROW.mean(), 0.3 * BETTER.mean()]
    assert one.difference != pytest.approx(with_beta[1] - with_beta[0]), "margins on two scales are seen"
    by_place = stats.ttest_rel(BETTER[::-1], OF_ROW).confidence_interval()
    assert by_place.high - by_place.low > 2 * (one.high - one.low), (
        "pairs by their place in the file are seen"
    )


def test_the_share_of_pairs_decides_and_a_tie_is_not_right(runs, tmp_path):
    result = compared(runs)
    assert result.primary.name == "preference_accuracy"
    comparison = result.groups[1].comparison
    was, right = (100.0 * (margins > 0) for margins in (OF_ROW, BETTER))
    assert comparison.measured["preference_accuracy"].base == pytest.approx(was.mean())
    assert comparison.measured["preference_accuracy"].tuned == pytest.approx(right.mean())
    tied = np.flatnonzero(BETTER > 0)[:7]
    third = make_preference_run(tmp_path / "third", BETTER, beta=0.2, ties=tied.tolist())
    fewer = compared([runs[0], third]).groups[1].comparison.measured["preference_accuracy"]
    assert fewer.tuned == pytest.approx(right.mean() - 100 * 7 / ROWS)


def test_both_the_pairs_and_the_answers_are_in_the_comparison(runs):
    comparison = compared(runs).groups[1].comparison
    assert list(comparison.metrics)[:2] == ["preference_accuracy", "preference_margin"]
    assert {"chrf", "exact_match"} <= comparison.measured.keys()
    assert comparison.measured["chrf"].difference == 0
    assert "preference_accuracy" not in comparison.p_holm
    raw = {name: one.p for name, one in comparison.bootstrap.items() if name in comparison.p_holm}
    smallest = min(raw, key=raw.get)
    assert comparison.p_holm[smallest] == pytest.approx(min(1, len(raw) * raw[smallest]))


def test_answers_that_got_worse_are_told_beside_a_better_preference(runs):
    answers = read_json_lines(runs[1].responses("tuned"))
    write_json_lines(runs[1].responses("tuned"), [{**one, "response": "?"} for one in answers])
    rewrite_preference_figures(runs[1], BETTER > 0)
    verdict = compared(runs).groups[1].comparison.verdict
    assert verdict.word != "worse"
    assert "its own answers are worse beside the chosen ones: chrF fell from" in verdict.sentence


def test_a_preference_tuning_and_a_supervised_one_are_compared_by_their_answers(runs, tmp_path):
    supervised = make_run(tmp_path / "supervised", test_rows=ROWS)
    write_text(supervised.recipe, RECIPE.replace("0.0005", "0.001"))
    for both in ([runs[0], supervised], [supervised, runs[0]]):
        result = compared(both)
        assert result.primary.name == "chrf"
        assert "preference_accuracy" not in result.groups[1].comparison.metrics


def test_pairs_of_other_rows_than_the_answers_are_refused(runs):
    write_json_lines(runs[1].evaluation / PREFERENCES, read_json_lines(runs[1].evaluation / PREFERENCES)[:-1])
    with pytest.raises(
        RunFolderError, match=f"preferences for {ROWS - 1} rows but answers to {ROWS}"
    ) as fault:
        compared(runs)
    assert fault.value.code == "run.answers_unpaired"


def test_a_pair_without_its_log_probabilities_is_named(runs):
    lines = read_json_lines(runs[1].evaluation / PREFERENCES)
    del lines[0]["tuned"]
    write_json_lines(runs[1].evaluation / PREFERENCES, lines)
    with pytest.raises(RunFolderError, match=r"preferences.jsonl: line 1 has no tuned"):
        compared(runs)
