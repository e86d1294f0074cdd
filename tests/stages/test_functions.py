"""Functions of the user's own: scored and applied like ours, recorded by name and hash, and never imported."""

import functools
import importlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import ttest_rel
from support.rows import alpaca_values, write_rows

import tutelage
from tutelage.config.extensions import METRICS
from tutelage.data.rows.records import Record
from tutelage.errors import DataError, RecipeError, RunFolderError
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import OwnMetric, score_rows
from tutelage.evaluation.paired.comparison import compare_scores
from tutelage.evaluation.stats.holm import holm
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.functions import FunctionRecords, FunctionSource, read_functions, write_functions
from tutelage.run.lines import read_json_lines
from tutelage.stages.evaluate import evaluate
from tutelage.stages.function_source import describe_function
from tutelage.stages.functions import (
    NO_FUNCTIONS,
    OwnFunction,
    OwnFunctions,
    formatted,
    given_functions,
    known_functions,
    scored,
)
from tutelage.stages.prepare import prepare
from tutelage.stages.run_folders import earlier_run
from tutelage.stages.session import Session

QUICK = {
    "max_steps": 4,
    "eval_steps": 2,
    "dtype": "float32",
    "r": 2,
    "limit": 4,
    "max_new_tokens": 8,
    "general_text": False,
}
MINE = """
from pathlib import Path

Path(__file__).with_name("executed").touch()

def longer(answer, reference):
    return len(answer) - len(reference) / 7

def to_row(row):
    if row["number"] % 10 == 3:
        return None
    return {"instruction": row["question"], "output": row["answer"]}
"""
OWN_ROWS = [
    {"number": number, "question": one["instruction"], "answer": one["output"]}
    for number, one in enumerate(alpaca_values(80))
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with the module mine.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


@pytest.fixture
def mine(place, monkeypatch):
    """The module, as a program of the user's has imported it."""
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    yield importlib.import_module("mine")
    sys.modules.pop("mine", None)


def answers(scores):
    return [
        {
            "row": row,
            "prompt": f"{row * 7919} {chr(97 + row)}",
            "response": "x" * score,
            "reference": "y",
            "stopped": True,
            "reference_log_prob": -1.0,
            "reference_bytes": 1,
            "response_tokens": 1,
        }
        for row, score in enumerate(scores)
    ]


def own_metric(function, name="own"):
    [own] = given_functions([function], None).metrics
    return OwnMetric(name, FunctionSource(path=name, sha256=None), scored(own))


def letters(answer, reference):
    return float(len(answer))


BASE = [3, 9, 4, 12, 7, 1, 15, 6, 11, 2, 8, 5]
TUNED = [4, 11, 4, 15, 9, 2, 18, 7, 12, 5, 10, 6]


def test_an_own_metric_has_the_paired_statistics_of_ours():
    scores = score_rows(answers(BASE), answers(TUNED), [own_metric(letters)])
    compared = compare_scores(scores, load_metric("chrf"))
    found, expected = compared.measured["own"], ttest_rel(TUNED, BASE).confidence_interval()
    assert (found.base, found.tuned) == (np.mean(BASE), np.mean(TUNED))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    raised = holm({name: one.p for name, one in compared.bootstrap.items() if name != "chrf"})
    assert compared.p_holm["own"] == raised["own"]
    assert compared.to_record()["metrics"]["own"]["p_holm"] == raised["own"]
    unpaired = ttest_rel(TUNED[::-1], BASE).confidence_interval()
    assert (unpaired.low, unpaired.high) != pytest.approx((found.low, found.high))
    without = compare_scores(score_rows(answers(BASE), answers(TUNED)), load_metric("chrf"))
    assert [*without.measured] == [*METRICS]


def test_zeros_of_an_unknown_scale_are_no_shares_out_of_100():
    scores = score_rows(answers(BASE), answers(TUNED), [own_metric(lambda answer, reference: 0.0)])
    found = compare_scores(scores, load_metric("chrf"))
    assert (found.measured["own"].low, found.measured["own"].base_high) == (None, None)
    as_ours = paired_difference(scores.base["own"], scores.tuned["own"], scores.clusters)
    assert as_ours.high > 1  # which would be more than a metric from 0 to 1 can differ
    shares = [0.0, 100.0] * 6
    right = paired_difference(np.array(shares), np.array(shares[::-1]), is_out_of_100=False)
    assert right.base_low is not None


def raising(answer, reference):
    raise KeyError(reference)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (raising, "functions.raised"),
        (lambda answer, reference: float("nan"), "functions.wrong_result"),
        (lambda answer, reference: float("inf"), "functions.wrong_result"),
        (lambda answer, reference: 10**400, "functions.wrong_result"),
        (lambda answer, reference: "0.5", "functions.wrong_result"),
        (lambda answer, reference: None, "functions.wrong_result"),
        (lambda answer: 1.0, "functions.raised"),
    ],
)
def test_a_metric_at_fault_is_named_with_its_row(function, code):
    own = OwnFunction(describe_function(function), given=function)
    with pytest.raises(DataError) as refused:
        scored(own)({"row": 7, "response": "a", "reference": "b"})
    assert (refused.value.code, refused.value.row) == (code, 7)
    assert own.record.path in str(refused.value)


@pytest.mark.parametrize("value", [1, True, np.float32(0.5), np.float64(2)])
def test_any_finite_number_is_a_score(value):
    own = OwnFunction(describe_function(letters), given=lambda answer, reference: value)
    found = scored(own)({"row": 0, "response": "a", "reference": "b"})
    assert (type(found), found) == (float, float(value))


def records(*values):
    return [Record(row, None, value) for row, value in enumerate(values)]


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda row: row["no such"], "functions.raised"),
        (lambda row: [row], "functions.wrong_result"),
        (lambda row: {"instruction": {1, 2}}, "functions.wrong_result"),
    ],
)
def test_a_format_function_at_fault_is_named_with_its_row(function, code):
    own = OwnFunction(describe_function(function), given=lambda row: function(row) if row["a"] else row)
    with pytest.raises(DataError) as refused:
        list(formatted(records({"a": 0}, {"a": 1}), own))
    assert (refused.value.code, refused.value.row) == (code, 1)
    assert own.record.path in str(refused.value)


def test_a_format_function_sees_rows_alone_and_what_it_returns_is_read_like_a_file():
    own = OwnFunction(describe_function(letters), given=lambda row: {"text": (row["a"],)})
    unread = Record(1, None, None, was_read=False)
    found = list(formatted([*records({"a": 1}), unread, *records("no object")], own))
    assert [one.value for one in found] == [{"text": [1]}, None, "no object"]
    assert found[1] is unread


def session_with(place, model, functions, name="own", rows=OWN_ROWS):
    from tutelage.config.recipe_file import load

    data = write_rows(place / f"{name}.json", rows)
    loaded = load(None, {"--data data.source": str(data), "--set model.name_or_path": str(model)}, [])
    return Session(RunFolder(place / name), loaded, functions=functions)


def texts_of(run):
    return {
        split: {(row["prompt"], row["response"]) for row in read_json_lines(run.split(split))}
        for split in ("train", "test", "validation")
    }


def test_rows_are_prepared_as_the_format_function_gives_them(place, model, mine):
    session = session_with(place, model, given_functions(None, mine.to_row))
    prepared = prepare(session)
    left_out = [
        row["row"]
        for row in read_json_lines(session.run.ledger)
        if row["outcome"] == "dropped" and row["reasons"][0]["code"] == "functions.row_left_out"
    ]
    assert left_out == [number for number in range(80) if number % 10 == 3]
    assert prepared.rows.read == 80
    assert [note.code for note in prepared.notes if mine.to_row.__name__ in note.message] == [
        "functions.rows_formatted"
    ]
    by_hand = [mine.to_row(row) for row in OWN_ROWS]
    kept = session_with(place, model, OwnFunctions(), "kept", [row for row in by_hand if row])
    everything = session_with(place, model, OwnFunctions(), "all", alpaca_values(80))
    prepare(kept)
    prepare(everything)
    assert texts_of(session.run) == texts_of(kept.run) != texts_of(everything.run)
    assert read_functions(session.run).row_format.path == "mine:to_row"
    assert not kept.run.functions.exists()


def test_rows_that_are_all_left_out_are_refused_with_the_reason(place, model):
    session = session_with(place, model, given_functions(None, lambda row: None))
    with pytest.raises(DataError) as refused:
        prepare(session)
    assert refused.value.code == "data.no_usable_rows"
    assert "functions.row_left_out" in str(refused.value)


def outer():
    def inner(answer, reference):
        return 1.0

    return inner


def closing_over(number):
    return lambda answer, reference: number


class Callable:
    def __call__(self, answer, reference):
        return 1.0


@pytest.mark.parametrize(
    ("function", "has_source"),
    [
        (lambda answer, reference: 1.0, True),
        (outer(), True),
        (closing_over(2), False),
        (functools.partial(letters, reference=""), False),
        (Callable(), False),
        (len, False),
        (eval("lambda answer, reference: 1.0"), False),
    ],
)
def test_a_hash_says_all_that_a_function_does_or_is_not_there(function, has_source):
    assert (describe_function(function).sha256 is not None) == has_source


def test_the_hash_is_that_of_the_definition_alone(place, mine):
    record = describe_function(mine.longer)
    assert (record.path, record.name) == ("mine:longer", "longer")
    (place / "mine.py").write_text(f"import json\n{MINE}\nMORE = 1\n")
    assert describe_function(mine.longer) == record
    (place / "mine.py").write_text(MINE.replace("/ 7", "/ 8"))
    assert describe_function(mine.longer).sha256 != record.sha256


def test_what_a_run_names_is_never_executed(place, mine):
    record = describe_function(mine.longer)
    (place / "executed").unlink(missing_ok=True)
    run = RunFolder(place / "run")
    run.root.mkdir()
    write_functions(run, FunctionRecords(metrics=[record], row_format=record))
    known = known_functions(run.root, NO_FUNCTIONS)
    for own in (known.row_format, *known.metrics):
        with pytest.raises(RunFolderError) as refused:
            own.load()
        assert refused.value.code == "functions.not_given"
        assert "mine:longer" in str(refused.value)
    assert not (place / "executed").exists()


def test_names_are_of_one_metric_each():
    def chrf(answer, reference):
        return 1.0

    for metrics in ([letters, letters], [chrf]):
        with pytest.raises(RecipeError) as refused:
            given_functions(metrics, None)
        assert refused.value.code == "functions.name_taken"
    with pytest.raises(TypeError, match="is not callable"):
        given_functions(["chrf"], None)
    with pytest.raises(TypeError, match="is not callable"):
        given_functions(None, 3)


@pytest.fixture
def run(place, model, mine):
    return tutelage.finetune(
        OWN_ROWS, output="mine", metrics=[mine.longer], format=mine.to_row, name_or_path=str(model), **QUICK
    )


def test_a_run_keeps_its_metrics_and_refuses_by_name_to_evaluate_without_them(place, model, mine, run):
    for variant in ("base", "tuned"):
        told = {one["row"]: one for one in read_json_lines(run.folder / "evaluation" / f"{variant}.jsonl")}
        for line in read_json_lines(run.folder / "evaluation" / "scores.jsonl"):
            answer = told[line["row"]]
            assert line[variant]["longer"] == mine.longer(answer["response"], answer["reference"])
            assert line[variant]["longer"] != mine.longer(answer["reference"], answer["response"])
    metric = run.metrics["longer"]
    assert metric.difference == pytest.approx(metric.tuned - metric.base)
    assert metric.p_holm is not None
    metrics = read_json(run.folder / "evaluation" / "metrics.json")
    record = describe_function(mine.longer)
    assert metrics["functions"] == {"longer": {"path": "mine:longer", "sha256": record.sha256}}
    assert metrics["primary_metric"] == "exact_match"  # of rows with short answers, whatever the program adds
    assert "longer" in (run.folder / "report.html").read_text()
    scores = (run.folder / "evaluation" / "scores.jsonl").read_bytes()
    command = [sys.executable, "-m", "tutelage"]
    refused = subprocess.run(
        [*command, "evaluate", str(run.folder), "--overwrite"], cwd=place, check=False, capture_output=True
    )
    assert b"functions.not_given" in refused.stderr
    assert (run.folder / "evaluation" / "scores.jsonl").read_bytes() == scores
    assert subprocess.run([*command, "report", str(run.folder)], cwd=place, check=False).returncode == 0
    assert "longer" in (run.folder / "report.html").read_text()
    (run.folder / "functions.json").unlink()
    evaluate(Session(*earlier_run(run.folder, {})), overwrite=True)
    assert "longer" not in read_json(run.folder / "evaluation" / "metrics.json")["metrics"]


def longer_by_other_rule(answer, reference):
    return len(answer) - len(reference) / 9


def test_runs_are_compared_by_own_metrics_of_one_source_alone(place, model, mine, run):
    again = {"name_or_path": str(model), "format": mine.to_row, **QUICK}
    tutelage.finetune(OWN_ROWS, output="faster", metrics=[mine.longer], learning_rate=2e-3, **again)
    other = longer_by_other_rule
    other.__name__ = "longer"
    tutelage.finetune(
        OWN_ROWS, output="other", metrics=[other], **{**again, "format": mine.to_row, "seed": 5}
    )
    compared = tutelage.compare(run, "faster")
    found = compared.groups[1].further["functions"].paired["longer"].measured
    assert (found.base, found.tuned) == (
        pytest.approx(run.metrics["longer"].tuned),
        pytest.approx(tutelage.Run("faster").metrics["longer"].tuned),
    )
    compared = tutelage.compare("faster", "other")
    assert "longer" in compared.groups[1].further["functions"].left_out


def test_a_run_goes_on_with_its_own_functions_and_refuses_another_format(place, model, mine):
    def broken(answer, reference):
        return None

    given = {"output": "mine", "name_or_path": str(model), **QUICK}
    with pytest.raises(DataError) as refused:
        tutelage.finetune(OWN_ROWS, format=mine.to_row, metrics=[broken], **given)
    assert refused.value.code == "functions.wrong_result"
    with pytest.raises(RunFolderError) as refused:
        tutelage.finetune(OWN_ROWS, **given)
    assert refused.value.code == "functions.not_given"
    with pytest.raises(RunFolderError) as refused:
        tutelage.finetune(OWN_ROWS, format=lambda row: None, metrics=[letters], **given)
    assert refused.value.code == "run.settings_changed"
    # The rows are prepared, so that the format function is not needed again.
    run = tutelage.finetune(OWN_ROWS, metrics=[letters], **given)
    assert run.metrics["letters"].base is not None
    kept = read_functions(RunFolder(run.folder))
    assert ([one.name for one in kept.metrics], kept.row_format.path) == (["letters"], "mine:to_row")


def test_metrics_of_a_classification_are_refused_at_once(place, model):
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(40)]
    with pytest.raises(RecipeError) as refused:
        tutelage.finetune(
            rows, output="labels", metrics=[letters], objective="classification", name_or_path=str(model)
        )
    assert refused.value.code == "settings.inactive"
    assert not (place / "labels" / "data").exists()


def test_a_text_as_format_is_the_setting(place, model):
    rows = [{"prompt": one["instruction"], "completion": one["output"]} for one in alpaca_values(80)]
    with pytest.raises(DataError) as refused:
        tutelage.finetune(rows, output="wrong", format="alpaca", name_or_path=str(model), **QUICK)
    assert (
        refused.value.code == "data.unknown_columns"
    )  # though without it they are of a format that is known
    with pytest.raises(RecipeError) as refused:
        tutelage.finetune(rows, output="wrong", format="no such", name_or_path=str(model), **QUICK)
    assert refused.value.code == "settings.invalid_value"
