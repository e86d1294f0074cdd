"""Events as lines: what stands in them, and what only a listener in the same process gets."""

import json

import pytest

from tutelage.run import events


def kinds(kind=events.Event):
    for one in kind.__subclasses__():
        yield one
        yield from kinds(one)


def test_every_kind_of_event_has_a_name_of_its_own():
    names = [kind.event for kind in kinds()]
    assert len(names) == len(set(names)) > 15


def test_a_line_begins_with_the_name_and_holds_the_figures_of_the_objective():
    event = events.StepTaken(step=3, epoch=0.5, learning_rate=0.1, loss=2.0, examples=8, accuracy=0.25)
    assert json.dumps(event.to_record()) == (
        '{"event": "step", "step": 3, "epoch": 0.5, "learning_rate": 0.1, "loss": 2.0, "examples": 8, "accuracy": 0.25}'
    )


def test_the_beginning_of_a_stage_says_when_it_was_and_in_which_format_the_lines_are():
    record = events.StageStarted(stage="train").to_record()
    assert (record["event"], record["stage"], record["format"]) == ("stage_started", "train", 2)
    assert record["time"].endswith("+00:00")


def test_a_result_goes_to_listeners_and_into_no_line():
    event = events.StageFinished(stage="evaluate", seconds=1.5, result=object())
    assert event.result is not None
    assert event.to_record() == {"event": "stage_finished", "stage": "evaluate", "seconds": 1.5}


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="stage"):
        events.StageStarted(stage="dream")
