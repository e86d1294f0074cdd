"""Classifications compared: accuracy row by row, F1 over all rows, seeds as one recipe."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from support.compared import compare_folders
from support.fake_labels import LABELS, make_class_run, text_of
from support.fake_run import make_run

from tutelage.errors import RunFolderError
from tutelage.run.folder import PREDICTIONS, read_json, write_json_lines
from tutelage.run.lines import read_json_lines

ROWS = 60
LUCK = np.random.default_rng(8)
WANTED = LUCK.choice(3, p=[0.6, 0.3, 0.1], size=ROWS)


def spoiled(share, seed):
    chance = np.random.default_rng(seed)
    return np.where(chance.random(ROWS) < share, chance.integers(3, size=ROWS), WANTED)


GIVEN = {"poor": spoiled(0.6, 1), "good": spoiled(0.1, 2), "seed": spoiled(0.2, 3)}
SETTINGS = {"poor": "", "good": "warmup_ratio = 0.1\n", "seed": "warmup_ratio = 0.1\nseed = 7\n"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A poor classification, a good one, and another seed of the good one."""
    root = tmp_path_factory.mktemp("classes")
    return {
        name: make_class_run(root / name, WANTED, given, settings=SETTINGS[name])
        for name, given in GIVEN.items()
    }


def compared(folders):
    folders = list(folders)
    return compare_folders(folders, folders[0])


def macro(given):
    return f1_score(WANTED, given, average="macro")


def test_the_accuracy_is_paired_row_by_row(runs):
    result = compared([runs["poor"], runs["good"]])
    one, bootstrap = (
        of["accuracy"] for of in (result.groups[1].comparison.measured, result.groups[1].comparison.bootstrap)
    )
    was, right = (100.0 * (GIVEN[name] == WANTED) for name in ("poor", "good"))
    assert (one.base, one.tuned) == pytest.approx((was.mean(), right.mean()))
    assert (one.n, one.clusters, result.clusters) == (ROWS, ROWS, ROWS)
    won, lost = int((right > was).sum()), int((right < was).sum())
    assert bootstrap.p == pytest.approx(stats.binomtest(won, won + lost).pvalue), "McNemar's exact test"
    drawn = np.random.default_rng(9).choice(right - was, size=(4000, ROWS)).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert (bootstrap.bca_low, bootstrap.bca_high) == pytest.approx((low, high), abs=2.5)
    assert (one.low, one.high) == pytest.approx((low, high), abs=4), "Newcombe's is near the bootstrap's"
    shifted = np.roll(right, 1)
    won, lost = int((shifted > was).sum()), int((shifted < was).sum())
    assert bootstrap.p != pytest.approx(stats.binomtest(won, won + lost).pvalue), (
        "pairs of other rows are seen"
    )
    assert result.groups[1].comparison.verdict.word == "better"
    assert result.primary.name == "accuracy"


def test_macro_f1_is_that_of_all_rows_and_its_p_is_raised(runs):
    result = compared([runs["poor"], runs["good"]])
    comparison = result.groups[1].comparison
    one = comparison.measured["macro_f1"]
    assert (one.base, one.tuned) == pytest.approx((macro(GIVEN["poor"]), macro(GIVEN["good"])))
    assert one.tuned != pytest.approx(comparison.measured["accuracy"].tuned / 100), "no mean of the rows"
    assert one.low < one.difference < one.high
    assert comparison.p_holm == {"macro_f1": comparison.bootstrap["macro_f1"].p}
    assert one.tuned == pytest.approx(read_json(runs["good"].metrics)["macro_f1"]), "as the report has it"


def test_rows_are_paired_by_their_number_and_not_by_their_place(runs, tmp_path):
    other = make_class_run(tmp_path / "other", WANTED, GIVEN["good"], settings=SETTINGS["good"])
    lines = read_json_lines(other.evaluation / PREDICTIONS)
    write_json_lines(other.evaluation / PREDICTIONS, [*lines[5:], *lines[:5]])
    expected = compared([runs["poor"], runs["good"]]).groups[1].comparison.measured
    assert compared([runs["poor"], other]).groups[1].comparison.measured == expected


def test_seeds_are_one_recipe_whose_score_is_their_mean(runs):
    result = compared([runs["poor"], runs["good"], runs["seed"]])
    baseline, other = result.groups
    assert other.seeds == [123, 7]
    assert other.means("macro_f1") == pytest.approx([macro(GIVEN["good"]), macro(GIVEN["seed"])])
    assert other.seed_spread("macro_f1") == pytest.approx(np.std(other.means("macro_f1"), ddof=1))
    rows = np.mean([GIVEN[name] == WANTED for name in ("good", "seed")], axis=0)
    expected = stats.ttest_rel(100.0 * rows, 100.0 * (GIVEN["poor"] == WANTED)).confidence_interval()
    one = other.comparison.measured["accuracy"]
    assert (one.low, one.high) == pytest.approx((expected.low, expected.high))
    assert other.comparison.measured["macro_f1"].difference == pytest.approx(
        other.mean("macro_f1") - baseline.mean("macro_f1")
    )


def test_rows_that_resemble_each_other_count_once(tmp_path):
    texts = [text_of(row // 2) for row in range(ROWS)]
    runs = [
        make_class_run(tmp_path / name, WANTED, GIVEN[name], settings=SETTINGS[name], texts=texts)
        for name in ("poor", "good")
    ]
    result = compared(runs)
    assert result.clusters == ROWS // 2
    differences = 1.0 * (GIVEN["good"] == WANTED) - (GIVEN["poor"] == WANTED)
    sums = differences.reshape(-1, 2).sum(axis=1)
    chance = np.random.default_rng(4).choice((-1, 1), size=(20_000, len(sums)))
    expected = (np.abs(chance @ sums) >= abs(sums.sum())).mean()
    found = result.groups[1].comparison.bootstrap["accuracy"].p
    assert found == pytest.approx(expected, abs=0.005)


def test_several_labels_are_compared_by_whole_sets_and_by_both_averages(tmp_path):
    chance = np.random.default_rng(5)
    wanted = chance.random((ROWS, 3)) < 0.4
    flips = {"one": chance.random((ROWS, 3)) < 0.3, "other": chance.random((ROWS, 3)) < 0.05}
    given = {name: wanted ^ flip for name, flip in flips.items()}
    settings = {"one": "", "other": SETTINGS["good"]}
    runs = [
        make_class_run(tmp_path / name, wanted, given[name], settings=settings[name]) for name in settings
    ]
    result = compared(runs)
    measured = result.groups[1].comparison.measured
    assert list(measured) == ["accuracy", "macro_f1", "micro_f1"]
    for name, side in (("one", "base"), ("other", "tuned")):
        exact = 100 * (given[name] == wanted).all(axis=1).mean()
        assert getattr(measured["accuracy"], side) == pytest.approx(exact)
        for average in ("macro", "micro"):
            expected = f1_score(wanted, given[name], average=average)
            assert getattr(measured[f"{average}_f1"], side) == pytest.approx(expected)
    any_label = 100 * (given["other"] == wanted).mean()
    assert measured["accuracy"].tuned != pytest.approx(any_label), "labels that count one by one are seen"


def test_nothing_is_classified_again_and_the_record_has_every_metric(runs, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was asked")

    monkeypatch.setattr("tutelage.objectives.classification.evaluation.load_classifier", refuse)
    record = compared([runs["poor"], runs["good"]]).to_record()
    assert record["primary_metric"] == "accuracy"
    assert set(record["groups"][1]["means"]) == {"accuracy", "macro_f1"}
    assert set(record["groups"][1]["comparison"]["metrics"]) == {"accuracy", "macro_f1"}
    assert record["groups"][1]["comparison"]["length"] is None


def refused(folders):
    with pytest.raises(RunFolderError) as fault:
        compared(folders)
    return fault.value


@pytest.mark.parametrize("turned", [False, True])
def test_a_classification_and_answers_are_refused(runs, tmp_path, turned):
    both = [runs["good"], make_run(tmp_path / "answers", test_rows=6)]
    fault = refused(both[::-1] if turned else both)
    assert fault.code == "compare.different_objectives"
    named = ["classification", "instruction"]
    first, second = named[::-1] if turned else named
    assert f"training.objective={first} and" in str(fault)
    assert f"with {second}, which have no metric in common" in str(fault)


def test_runs_that_tell_other_labels_apart_are_refused(runs, tmp_path):
    other = make_class_run(tmp_path / "other", WANTED, GIVEN["good"], labels=(*LABELS, "news"))
    fault = refused([runs["good"], other])
    assert fault.code == "compare.different_labels"
    assert "'news'" in str(fault)


def test_another_label_of_a_row_is_refused(runs, tmp_path):
    other = make_class_run(tmp_path / "other", (WANTED + 1) % 3, GIVEN["good"])
    assert refused([runs["good"], other]).code == "compare.different_references"
