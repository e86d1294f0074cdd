"""The charts of a training: which step they mark, and what they say in words."""

from dataclasses import replace

import pytest
from support.fake_run import make_run
from support.reports import write_report

from tutelage.report.training_charts import loss_chart
from tutelage.run.artifacts import TrainingResult, read_artifact, write_artifact
from tutelage.run.folder import checkpoint_of, write_json_lines
from tutelage.run.lines import read_json_lines
from tutelage.training.loop import TrainState

LOSSES = {0: 2.0, 10: 1.25, 20: 1.0, 30: 1.5}
EVENTS = [{"event": "validation", "step": step, "loss": loss} for step, loss in LOSSES.items()]


def described(events, best_step):
    chart = loss_chart(events, best_step=best_step)
    assert chart is not None
    labels = [f">best {value}<" in chart.wide for value in ("1.00", "1.25", "1.50")]
    return chart.description, labels


def test_the_lowest_loss_is_marked_as_the_best():
    text, labels = described(EVENTS, 20)
    assert text == "Validation loss goes from 2.00 to 1.50; the best is 1.00 at step 20."
    assert labels == [True, False, False]


def test_a_lower_loss_of_a_step_without_a_checkpoint_is_not_marked():
    state = TrainState(step=30, losses=LOSSES, unsaved=(20,))
    text, labels = described(EVENTS, state.kept_step)
    assert text == (
        "Validation loss goes from 2.00 to 1.50; the best with a saved checkpoint is 1.25 at step 10."
    )
    assert labels == [False, True, False]
    everything_saved = replace(state, unsaved=())
    assert described(EVENTS, everything_saved.kept_step) != (text, labels)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (EVENTS, "Validation loss goes from 2.00 to 1.50; no checkpoint of these steps has been saved yet."),
        (EVENTS[:1], "Validation loss before the first step is 2.00; there is no later value yet."),
    ],
)
def test_nothing_is_marked_before_a_checkpoint_is_saved(events, expected):
    assert described(events, None) == (expected, [False, False, False])


@pytest.fixture
def run(tmp_path):
    run = make_run(tmp_path, until="tune", test_rows=8)
    samples = [event for event in read_json_lines(run.events) if event["event"] == "sample"]
    write_json_lines(run.events, [*EVENTS, *samples])
    return run


def test_a_finished_run_marks_the_step_whose_weights_it_kept(run):
    for step, sentence in ((20, "the best is 1.00"), (10, "the best with a saved checkpoint is 1.25")):
        result = read_artifact(TrainingResult, run.training).model_copy(update={"best_step": step})
        write_artifact(run.training, result)
        assert f"{sentence} at step {step}." in write_report(run).read_text(encoding="utf-8")


def test_an_unfinished_run_marks_the_best_step_among_its_checkpoints(run):
    run.training.unlink()
    checkpoint_of(run.checkpoints, 10).mkdir(parents=True)
    checkpoint_of(run.checkpoints, 30).mkdir()
    page = write_report(run).read_text(encoding="utf-8")
    assert "the best with a saved checkpoint is 1.25 at step 10." in page
    checkpoint_of(run.checkpoints, 20).mkdir()
    assert "the best is 1.00 at step 20." in write_report(run).read_text(encoding="utf-8")
