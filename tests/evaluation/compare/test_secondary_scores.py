from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from support.compared import compare_folders
from support.fake_further import add_judge, add_passages, add_set
from support.fake_run import RECIPE, make_run

from tutelage.errors import RunFolderError
from tutelage.evaluation.compare.secondary_scores import Scored, pair_kind
from tutelage.evaluation.metrics import load_metric
from tutelage.run.folder import read_json, write_json, write_json_lines, write_text
from tutelage.run.lines import read_json_lines

ROWS = 40
LUCK = np.random.default_rng(5)
# A score that belongs to the row, so that wrongly paired rows have a wide interval.
OF_ROW = LUCK.uniform(0, 80, ROWS)
BETTER = OF_ROW + LUCK.normal(6, 2, ROWS)


@pytest.fixture
def runs(tmp_path):
    """Two runs whose recipes differ in more than the seed."""
    one, other = (make_run(tmp_path / name, test_rows=30) for name in ("one", "other"))
    write_text(other.recipe, RECIPE.replace("0.0005", "0.001"))
    return one, other


def further(runs, kind):
    return compare_folders(runs, runs[0]).groups[1].further[kind]


def by_row(values, order=range(ROWS)):
    return {row: float(values[row]) for row in order}


def test_a_named_set_is_paired_by_its_rows_whatever_their_order_in_the_file(runs):
    add_set(runs[0], "facts", by_row(OF_ROW), metric="chrf")
    add_set(runs[1], "facts", by_row(BETTER, reversed(range(ROWS))), metric="chrf")
    found = further(runs, "sets").paired["facts"]
    expected = ttest_rel(BETTER, OF_ROW).confidence_interval()
    assert found.measured.clusters == ROWS
    assert (found.measured.low, found.measured.high) == pytest.approx((expected.low, expected.high))
    assert found.verdict.word == "better"


def test_pairing_by_place_in_the_file_would_miss_the_difference():
    expected = ttest_rel(BETTER, OF_ROW).confidence_interval()
    by_place = ttest_rel(BETTER[::-1], OF_ROW).confidence_interval()
    assert by_place.low < 0 < expected.low


def test_p_values_of_sets_are_raised_by_holm_and_those_of_the_verdict_are_not(runs):
    for run, values in zip(runs, (OF_ROW, BETTER), strict=True):
        add_set(run, "facts", by_row(values), metric="chrf")
        add_set(run, "sums", by_row(100.0 * (values > 40)))
    paired = further(runs, "sets").paired
    raw = {name: one.bootstrap.p for name, one in paired.items()}
    assert paired["facts"].p_holm == pytest.approx(2 * raw["facts"])
    assert paired["sums"].p_holm == pytest.approx(max(raw["sums"], 2 * raw["facts"]))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "other does not have it"),
        ("metric", "other scores it differently than"),
        ("pattern", "other scores it differently than"),
        ("rows", "other has different rows than"),
        ("prompt", "for example in row 3"),
        ("reference", "for example in row 3"),
    ],
)
def test_a_set_that_is_not_the_same_in_both_runs_is_left_out_with_a_word(runs, fault, said):
    add_set(runs[0], "facts", by_row(OF_ROW))
    add_set(runs[0], "sums", by_row(OF_ROW))
    add_set(runs[1], "sums", by_row(BETTER))
    if fault != "missing":
        metric = "exact_match" if fault == "metric" else "contains"
        add_set(runs[1], "facts", by_row(BETTER, range(ROWS - (fault == "rows"))), metric=metric)
    if fault == "pattern":
        for run, pattern in zip(runs, "ab", strict=True):
            declared = run.recipe.read_text().split("[evaluation.sets.facts]")
            facts = declared[1].replace('metric = "contains"', f'metric = "regex"\npattern = "{pattern}"', 1)
            write_text(run.recipe, "[evaluation.sets.facts]".join([declared[0], facts]))
            write_json(run.metrics, as_regex(read_json(run.metrics)))
    if fault in ("prompt", "reference"):
        rows = read_json_lines(runs[1].test_set("facts"))
        rows[3][fault] += " south"
        write_json_lines(runs[1].test_set("facts"), rows)
    found = further(runs, "sets")
    assert list(found.paired) == ["sums"]
    assert list(found.left_out) == ["facts"]
    assert said in found.left_out["facts"]


def as_regex(metrics):
    metrics["sets"]["facts"]["metric"] = "regex"
    return metrics


def test_a_set_that_lacks_its_scores_is_named_with_the_line(runs):
    for run in runs:
        add_set(run, "facts", by_row(OF_ROW))
    rows = read_json_lines(runs[1].test_set("facts"))
    del rows[2]["tuned"]["score"]
    write_json_lines(runs[1].test_set("facts"), rows)
    with pytest.raises(RunFolderError, match=r"facts.jsonl: line 3 has no tuned.score"):
        further(runs, "sets")


def test_a_metric_that_is_not_known_is_named(runs):
    for run in runs:
        add_set(run, "facts", by_row(OF_ROW))
    metrics = read_json(runs[1].metrics)
    metrics["sets"]["facts"]["metric"] = "contained"
    write_json(runs[1].metrics, metrics)
    with pytest.raises(RunFolderError, match="the set facts has the unknown metric 'contained'"):
        further(runs, "sets")


def test_a_judge_pairs_the_rows_that_it_scored_in_both_runs(runs):
    one, other = list(range(10, 40)), list(range(15, 45))
    one[4] = other[9] = None
    other[0] = 90
    add_judge(runs[0], "ollama:fair", one)
    add_judge(runs[1], "ollama:fair", other)
    paired = further(runs, "judges").paired["ollama:fair"]
    found = paired.measured
    assert "rows that lack a score in one of the runs count for neither (2 of 30)" in paired.missing
    whole = [(b - a) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    assert (found.n, found.missing) == (28, 2)
    assert found.difference == pytest.approx(np.mean(whole))


def test_a_null_that_counted_as_nothing_would_change_the_difference(runs):
    one, other = [50] * 30, [*range(50, 80)]
    other[29] = None
    add_judge(runs[0], "ollama:fair", one)
    add_judge(runs[1], "ollama:fair", other)
    found = further(runs, "judges").paired["ollama:fair"].measured
    assert found.difference == pytest.approx(14)
    assert np.mean([(b or 0) - a for a, b in zip(one, other, strict=True)]) != pytest.approx(14)


@pytest.mark.parametrize("doubted", [0, 1])
def test_a_judge_that_one_run_does_not_trust_is_left_out(runs, doubted):
    for index, run in enumerate(runs):
        add_judge(run, "ollama:fair", [50] * 30, trusted=index != doubted)
    found = further(runs, "judges")
    assert not found.paired
    assert found.left_out == {"ollama:fair": f"{runs[doubted].root}: the judge is not trusted on it"}


def test_a_judge_that_was_asked_by_other_rules_is_left_out(runs):
    for run in runs:
        add_judge(run, "ollama:fair", [50] * 30)
    write_json(runs[1].judges, read_json(runs[1].judges) | {"protocol_sha256": "f00d"})
    assert "differently" in further(runs, "judges").left_out["ollama:fair"]


def test_general_text_is_paired_by_passage_and_by_its_text(runs):
    add_passages(runs[0], by_row(OF_ROW / 80))
    add_passages(runs[1], by_row(BETTER / 80, reversed(range(ROWS))))
    found = further(runs, "passages").paired["general text"]
    expected = ttest_rel(BETTER / 80, OF_ROW / 80).confidence_interval()
    assert (found.measured.low, found.measured.high) == pytest.approx((expected.low, expected.high))
    assert found.verdict.word == "worse"
    add_passages(runs[1], by_row(BETTER / 80, range(ROWS - 1)))
    assert "for example row 39" in further(runs, "passages").left_out["general text"]


def test_what_is_said_of_general_text_counts_passages_and_no_test_rows(runs):
    for run, values in zip(runs, (OF_ROW, BETTER), strict=True):
        add_passages(run, by_row(values / 100))
    sentence = further(runs, "passages").to_record()["paired"]["general text"]["sentence"]
    assert f"on {ROWS} passages" in sentence
    assert "test row" not in sentence


def test_the_seeds_of_a_recipe_are_one_score_a_row():
    metric = load_metric("chrf")
    asked = {row: (f"{row}", "") for row in range(ROWS)}
    runs = [Scored(metric, (), asked, by_row(values)) for values in (OF_ROW, BETTER, BETTER + 2)]
    found = pair_kind({"a": {"x": runs[0]}}, {"b": {"x": runs[1]}, "c": {"x": runs[2]}}).paired["x"]
    assert found.measured.n == ROWS
    assert found.measured.difference == pytest.approx((BETTER + 1 - OF_ROW).mean())
    lacking = replace(runs[2], scores={**runs[2].scores, 5: float("nan")})
    found = pair_kind({"a": {"x": runs[0]}}, {"b": {"x": runs[1]}, "c": {"x": lacking}}).paired["x"]
    assert (found.measured.n, found.measured.missing) == (ROWS - 1, 1)


def test_another_set_makes_no_other_recipe(runs):
    add_set(runs[0], "facts", by_row(OF_ROW))
    write_text(runs[1].recipe, RECIPE.replace("learning_rate", "seed = 7\nlearning_rate"))
    (group,) = compare_folders(runs, runs[0]).groups
    assert group.seeds == [123, 7]


def test_the_record_names_what_was_paired_and_what_was_left_out(runs):
    for run in runs:
        add_set(run, "facts", by_row(OF_ROW))
    add_set(runs[0], "sums", by_row(OF_ROW))
    record = compare_folders(runs, runs[0]).to_record()
    baseline, other = record["groups"]
    assert baseline["sets"] is None
    assert other["sets"]["paired"]["facts"]["verdict"] == "no difference detectable"
    assert other["sets"]["left_out"] == {"sums": f"{runs[1].root} does not have it"}
    assert other["general_text"][str(runs[1].root)]["verdict"] == "pass"
