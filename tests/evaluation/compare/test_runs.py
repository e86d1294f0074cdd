import numpy as np
import pytest
from scipy import stats
from support.compared import compare_folders
from support.fake_run import RECIPE, answer, make_run, measure

from tutelage.config.extensions import METRICS
from tutelage.errors import RunFolderError
from tutelage.run.folder import RunFolder, read_json, write_json, write_json_lines, write_text
from tutelage.run.lines import read_json_lines


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Five runs on the same 60 rows: two seeds of one recipe, two of a poorer one, one of a third that stutters."""
    root = tmp_path_factory.mktemp("runs")
    made = {}
    for name, rate, seed, spoiled in [
        ("good", 0.0005, 123, 0.0),
        ("good-again", 0.0005, 124, 0.02),
        ("poor", 0.9, 123, 0.5),
        ("poor-again", 0.9, 124, 0.6),
        ("alike", 0.0004, 123, 0.0),
    ]:
        run = make_run(root / name, test_rows=60)
        write_text(run.recipe, with_settings(rate, seed))
        spoil(run, spoiled, np.random.default_rng(seed))
        measure(run)
        made[name] = run
    return made


def with_settings(rate, seed):
    return RECIPE.replace("learning_rate = 0.0005", f"learning_rate = {rate}\nseed = {seed}")


def spoil(run: RunFolder, share, chance):
    """Let the tuned model forget its answer on a share of the rows."""
    answers = read_json_lines(run.responses("tuned"))
    for one in answers:
        if chance.random() < share:
            one["response"] = "Nothing."
    write_json_lines(run.responses("tuned"), answers)


def test_a_poorer_recipe_is_worse_by_the_paired_difference_of_the_tuned_models(runs):
    compared = compare_folders([runs["good"], runs["poor"]], runs["good"])
    baseline, other = compared.groups
    assert [group.label for group in compared.groups] == [runs["good"].name, runs["poor"].name]
    assert baseline.comparison is None
    assert other.differs == ("training.learning_rate (was 0.0005, now 0.9)",)
    one = other.comparison.measured["chrf"]
    assert one.difference == pytest.approx(other.mean("chrf") - baseline.mean("chrf"))
    assert other.comparison.verdict.word == "worse"
    assert compared.is_any_worse
    assert other.seed_spread("chrf") is None


def test_the_baseline_is_the_one_that_is_named(runs):
    compared = compare_folders([runs["good"], runs["poor"]], runs["poor"])
    assert compared.groups[0].label == runs["poor"].name
    assert compared.groups[1].comparison.verdict.word == "better"
    assert not compared.is_any_worse


def test_seeds_of_one_recipe_are_one_group_with_their_spread_apart_from_the_interval(runs):
    folders = [runs[name] for name in ("good", "poor", "good-again", "poor-again")]
    baseline, other = compare_folders(folders, runs["good"]).groups
    assert [group.seeds for group in (baseline, other)] == [[123, 124], [123, 124]]
    assert other.seed_spread("chrf") == pytest.approx(np.std(other.means("chrf"), ddof=1))
    assert other.seed_spread("chrf") > 0
    rows = [
        np.mean([run.rows.measures["chrf"].scores for run in group.runs], axis=0)
        for group in (baseline, other)
    ]
    one = other.comparison.measured["chrf"]
    assert one.difference == pytest.approx((rows[1] - rows[0]).mean())
    if one.clusters == one.n:
        expected = stats.ttest_rel(rows[1], rows[0]).confidence_interval()
        assert (one.low, one.high) == pytest.approx((expected.low, expected.high))


def test_seeds_that_count_as_more_rows_would_be_too_sure(runs):
    folders = [runs[name] for name in ("good", "poor", "good-again", "poor-again")]
    together = compare_folders(folders, runs["good"]).groups[1].comparison.measured["chrf"]
    assert together.n == 60


def test_equal_answers_are_no_difference(runs):
    compared = compare_folders([runs["good"], runs["alike"]], runs["good"])
    assert compared.groups[1].comparison.verdict.word == "no difference detectable"
    assert compared.groups[1].comparison.measured["chrf"].difference == 0


def test_runs_that_differ_in_their_seed_alone_have_nothing_to_be_held_against(runs):
    compared = compare_folders([runs["good"], runs["good-again"]], runs["good"])
    assert len(compared.groups) == 1
    record = compared.to_record()
    assert record["groups"][0]["comparison"] is None
    assert record["groups"][0]["seed_spread"]["chrf"] > 0


def test_the_record_holds_every_figure_by_its_name(runs):
    record = compare_folders([runs["good"], runs["poor"]], runs["good"]).to_record()
    assert (record["rows"], record["primary_metric"], record["baseline"]) == (60, "chrf", runs["good"].name)
    assert set(record["groups"][1]["means"]) == set(METRICS)
    assert record["groups"][1]["comparison"]["verdict"] == "worse"


def refused(folders):
    with pytest.raises(RunFolderError) as fault:
        compare_folders(folders, folders[0])
    return str(fault.value)


def test_runs_on_other_rows_are_refused_and_the_rows_named(runs, tmp_path):
    other = make_run(tmp_path / "other", test_rows=60)
    answers = read_json_lines(other.responses("tuned"))
    for path in (other.responses("base"), other.responses("tuned"), other.scores):
        write_json_lines(path, read_json_lines(path)[:-2])
    said = refused([runs["good"], other])
    assert "tested on 60 rows" in said
    assert f"58; 2 are only in one of them ({answers[-2]['row']}, {answers[-1]['row']})" in said


def test_runs_on_other_data_are_refused(runs, tmp_path):
    other = make_run(tmp_path / "other", test_rows=60)
    write_json(other.preparation, read_json(other.preparation) | {"sha256": "beef" * 16})
    assert "different data (SHA-256 5f0e5f0e5f0e… and beefbeefbeef…)" in refused([runs["good"], other])


def test_a_row_with_another_reference_is_refused(runs, tmp_path):
    other = make_run(tmp_path / "other", test_rows=60)
    answers = read_json_lines(other.responses("tuned"))
    answers[3] = answer({**answers[3], "response": "another"}, "x")
    write_json_lines(other.responses("tuned"), answers)
    assert f"Row {answers[3]['row']} has a different reference" in refused([runs["good"], other])


def test_a_run_named_twice_or_never_evaluated_is_refused(runs, tmp_path):
    again = RunFolder(runs["good"].root / ".." / "good")
    assert "is given twice" in refused([runs["good"], again])
    assert "is not a folder" in refused([runs["good"], RunFolder(tmp_path / "nothing")])
    tuned = make_run(tmp_path / "tuned", until="tune", test_rows=60)
    assert "Run `tutelage evaluate" in refused([runs["good"], tuned])


def test_nothing_is_scored_again(runs, monkeypatch):
    def refuse(*_):
        raise AssertionError("an answer was scored a second time")

    expected = compare_folders([runs["good"], runs["poor"]], runs["good"]).to_record()
    monkeypatch.setattr("tutelage.evaluation.metrics.metrics.score", refuse)
    assert compare_folders([runs["good"], runs["poor"]], runs["good"]).to_record() == expected


def test_scores_of_other_rows_than_the_answers_are_refused(runs, tmp_path):
    other = make_run(tmp_path / "other", test_rows=60)
    write_json_lines(other.scores, read_json_lines(other.scores)[:-1])
    assert "scores for 59 rows but answers to 60" in refused([runs["good"], other])
