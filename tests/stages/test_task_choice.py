"""What preparation.json says of the kind of task, whatever the test rows hold."""

import json

import pytest
from support.rows import write_rows

from tutelage.config.recipe_file import load
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import SPLITS
from tutelage.stages.inputs import Inputs
from tutelage.stages.prepare import prepare, prepare_aside
from tutelage.stages.reporter import Reporter

VALUES = [
    {"instruction": f"Which order is number {n}?", "output": json.dumps({"order": n, "paid": n % 3 == 0})}
    for n in range(80)
]
NOISE = "zq 7 ~~ {{{ this is not an answer, and nobody can learn anything from it; [[["


@pytest.fixture
def prepared(session_on, tmp_path):
    """Return what prepares some rows, and reads what was written of it."""

    def made(name, values, **settings):
        rows = write_rows(tmp_path / f"{name}.json", values)
        session = session_on(name, data__source=str(rows), **settings)
        given = prepare(session)
        assert read_artifact(Preparation, session.run.preparation) == given
        return given, {split: [row.example.row for row in session.rows(split)] for split in SPLITS}

    return made


def test_answers_of_test_and_validation_rows_change_no_choice(prepared):
    before, splits = prepared("before", VALUES)
    assert before.task is not None
    assert (before.task.kind, before.task.primary_metric) == ("json", "json_fields")
    assert before.task.figures.answers == len(splits["train"]) == before.rows.train
    held_out = {*splits["test"], *splits["validation"]}
    assert len(held_out) > 5
    poisoned = [{**row, "output": NOISE} if n in held_out else row for n, row in enumerate(VALUES)]
    after, same = prepared("after", poisoned)
    assert same == splits
    assert after.task == before.task  # with all figures and hashes
    one = splits["train"][0]
    changed, _ = prepared(
        "one", [{**row, "output": NOISE} if n == one else row for n, row in enumerate(VALUES)]
    )
    assert changed.task.kind == "json"
    assert changed.task.sha256 != before.task.sha256  # so that it would be seen if a test row had a say


def test_labels_that_a_classification_learns_are_no_answers(tmp_path, monkeypatch, model):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    texts = [{"text": f"Order {n} came late.", "label": "bad" if n % 2 else "good"} for n in range(80)]
    given = {
        "data.source": write_rows(tmp_path / "texts.json", texts),
        "model.name_or_path": model,
        "training.objective": "classification",
    }
    loaded = load(None, {}, [f"{name}={value}" for name, value in given.items()])
    reporter = Reporter(lambda event: None)
    preparation = prepare_aside(Inputs(loaded, reporter), reporter).preparation
    assert preparation.task is None
    assert "task" not in preparation.to_record()
