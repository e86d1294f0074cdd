import pytest
from support.fake_run import RECIPE, make_run

from tutelage.cli import evaluate
from tutelage.run.folder import write_text

RESULT = {"verdict": "better", "sets": {}, "forgetting": None}


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Give a run whose evaluation comes to a result of the test's choosing, without a model."""
    run = make_run(tmp_path / "run", until="tune", test_rows=20)
    write_text(run.trained_recipe, RECIPE)
    monkeypatch.setattr(evaluate, "report_stage", lambda run, loaded: None)
    monkeypatch.setattr(evaluate, "locate", lambda recipe: None)
    for name in ("show_scores", "show_sets", "show_forgetting"):
        monkeypatch.setattr(evaluate, name, lambda result: None)

    def come_to(result):
        monkeypatch.setattr("tutelage.evaluation.evaluate.evaluate", lambda *of, **how: result)
        return run.root

    return come_to


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({}, 0),
        ({"verdict": "no difference detectable"}, 0),
        ({"verdict": "worse"}, 7),
        ({"sets": {"sums": {"verdict": "better"}, "spam": {"verdict": "worse"}}}, 7),
        ({"sets": {"sums": {"verdict": "better"}}}, 0),
        ({"forgetting": {"verdict": "lost"}}, 7),
        ({"forgetting": {"verdict": "undecided"}}, 0),
        ({"answers": {"verdict": "worse"}}, 7),  # of a preference tuning, whose own verdict is better
        ({"answers": {"verdict": "better"}}, 0),
    ],
)
def test_whatever_is_worse_leaves_with_7_if_that_is_asked_for(tutelage, evaluated, found, code):
    root = evaluated(RESULT | found)
    assert tutelage("evaluate", root, "--fail-if-worse").code == code
    assert tutelage("evaluate", root).code == 0
