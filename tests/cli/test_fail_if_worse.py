import pytest
from support.fake_run import GENERAL_TEXT_FIGURES, RECIPE, make_run

from tutelage.run.evaluation import AnswerEvaluation
from tutelage.run.folder import write_text
from tutelage.stages.inputs import Inputs

BETTER = {
    "format": 2,
    "rows": 20,
    "clusters": 20,
    "primary_metric": "chrf",
    "verdict": "better",
    "sentence": "Better.",
    "minimum_detectable_effect": 1.0,
    "metrics": {},
    "length": None,
    "sets": {},
    "general_text": None,
}


def of_set(verdict):
    """Return the figures of a named set that came to a verdict."""
    return {"source": "a.jsonl", "metric": "contains", "rows": 3, "dropped": 0, "verdict": verdict}


def of_answers(verdict):
    return {"verdict": verdict, "sentence": "As the verdict says."}


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Give a run whose evaluation comes to a result of the test's choosing, without a model."""
    run = make_run(tmp_path / "run", until="tune", test_rows=20)
    write_text(run.trained_recipe, RECIPE)
    monkeypatch.setattr("tutelage.stages.evaluate.make_report", lambda session: None)
    monkeypatch.setattr(Inputs, "locate", lambda self: None)
    monkeypatch.setattr("tutelage.cli.views.terminal.show_evaluation", lambda result: None)
    monkeypatch.setattr("tutelage.cli.commands.evaluate.show_next_steps", lambda session: None)

    def come_to(found):
        result = AnswerEvaluation.model_validate(BETTER | found)
        monkeypatch.setattr("tutelage.stages.evaluate.answer_and_score", lambda session: result)
        return run.root

    return come_to


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({}, 0),
        ({"verdict": "no difference detectable"}, 0),
        ({"verdict": "worse"}, 7),
        ({"sets": {"sums": of_set("better"), "spam": of_set("worse")}}, 7),
        ({"sets": {"sums": of_set("better")}}, 0),
        ({"general_text": GENERAL_TEXT_FIGURES | {"verdict": "fail"}}, 7),
        ({"general_text": GENERAL_TEXT_FIGURES | {"verdict": "inconclusive"}}, 0),
        ({"answers": of_answers("worse")}, 7),  # of a preference tuning, whose own verdict is better
        ({"answers": of_answers("better")}, 0),
    ],
)
def test_whatever_is_worse_leaves_with_7_if_that_is_asked_for(tutelage, evaluated, found, code):
    root = evaluated(found)
    assert tutelage("evaluate", root, "--fail-if-worse").code == code
    assert tutelage("evaluate", root).code == 0
