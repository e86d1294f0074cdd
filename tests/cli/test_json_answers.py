"""A run on rows whose answers are JSON: the metric that decides, the table of fields, and what a recipe may change."""

import json

import pytest
from support.pages import Page, offences
from support.workplace import words_of_short_run

from tutelage.evaluation.metrics.json_fields import compare_fields
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

VALUES = [
    {"instruction": f"Which order is number {n}?", "output": json.dumps({"order": n, "paid": n % 3 == 0})}
    for n in range(60)
]


@pytest.fixture
def begin(workplace, model):
    return words_of_short_run(workplace / "orders.json", VALUES, model)


def near_training(run):
    """Return the answered test rows of which four fifths of the pieces are those of a training row."""

    def pieces(row):
        text = VALUES[row]["instruction"].lower().rstrip("?")
        return {text[begin : begin + 5] for begin in range(len(text) - 4)}

    def rows(path):
        return [pieces(line["row"]) for line in read_json_lines(path)]

    trained = rows(run.data / "train.jsonl")
    return [
        line["row"]
        for line in read_json_lines(run.scores)
        if any(5 * len((own := pieces(line["row"])) & one) >= 4 * len(own | one) for one in trained)
    ]


def test_json_answers_are_judged_by_their_fields(tutelage, begin, workplace):
    done = tutelage("run", *begin, "--output", "mine")
    assert (done.code, done.err) == (0, "")
    run = RunFolder(workplace / "mine")
    task, found = read_json(run.preparation)["task"], read_json(run.metrics)
    assert (task["kind"], task["primary_metric"]) == ("json", "json_fields")
    assert found["primary_metric"] == "json_fields"
    assert [*found["metrics"]][:3] == ["json_fields", "json_exact", "json"]
    assert {*found["json_fields"]} == {"order", "paid"}
    for name, metric in (("valid", "json"), ("all_right", "json_exact")):
        for variant in ("base", "tuned"):
            assert 100 * found["json_checks"][name][variant]["value"] == found["metrics"][metric][variant]
    for key in ("json_fields", "json_checks"):
        assert read_json(run.summary)["evaluation"][key] == found[key]
    assert all(line in done.out for line in ("order", "paid", "Right fields", "Answers: JSON."))
    html = run.report.read_text()
    assert offences(html) == []
    assert "follows from the answers in the training rows: JSON" in Page(html).text
    assert all(check in Page(html).text for check in ("Exactly the right keys", "Right types"))

    near = near_training(run)
    assert len(near) > 3
    assert found["training_overlap"]["row_numbers"] == near
    assert f"{len(near)} of 12 test rows are near-duplicates of training rows." in done.out

    lines = read_json_lines(run.scores)
    assert [line["tuned"]["json_fields"] for line in lines] == [
        100 * compare_fields(one["response"], one["reference"]).share
        for one in read_json_lines(run.responses("tuned"))
    ]


def test_a_recipe_may_name_another_metric_and_the_fields_are_shown_all_the_same(tutelage, begin, workplace):
    done = tutelage("run", *begin, "--output", "mine", "--set", "evaluation.primary_metric=chrf")
    assert (done.code, done.err) == (0, "")
    found = read_json(RunFolder(workplace / "mine").metrics)
    assert found["primary_metric"] == "chrf"
    assert {"json_fields", "json_exact", "json"} < {*found["metrics"]}
    assert {*found["json_fields"]} == {"order", "paid"}
    assert "follows from the answers" not in Page(RunFolder(workplace / "mine").report.read_text()).text


def test_runs_on_json_answers_are_compared_by_their_fields(tutelage, begin, workplace):
    for name, rate in (("one", "1e-4"), ("other", "1e-2")):
        assert tutelage("run", *begin, "--output", name, "--set", f"training.learning_rate={rate}").code == 0
    done = tutelage("compare", "one", "other", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["primary_metric"] == "json_fields"


def test_a_metric_that_is_changed_after_the_answers_makes_the_verdict_exploratory(tutelage, begin, workplace):
    assert tutelage("run", *begin, "--output", "mine").code == 0
    run = RunFolder(workplace / "mine")

    def evaluated(*words):
        assert tutelage("evaluate", "mine", "--overwrite", *words).code == 0
        return read_json(run.metrics), "exploratory" in Page(run.report.read_text()).text

    first = read_json(run.metrics)
    again, is_marked = evaluated()
    assert again == first
    assert not is_marked
    for metric in ("chrf", "exact_match"):  # the first metric counts, and not the last one
        found, is_marked = evaluated("--set", f"evaluation.primary_metric={metric}")
        assert (found["primary_metric"], found["first_metric"]) == (metric, "json_fields")
        assert is_marked
        assert read_json(run.summary)["evaluation"]["first_metric"] == "json_fields"
    back, is_marked = evaluated("--set", "evaluation.primary_metric=auto")
    assert back == first
    assert not is_marked
