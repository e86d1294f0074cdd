"""What the train stage says before the first step, of the model and of the machine that computes it."""

from types import SimpleNamespace

import pytest
import torch

from tutelage.config.recipe import Recipe
from tutelage.model.forward import CausalModel
from tutelage.run import events
from tutelage.stages import train
from tutelage.stages.reporter import Reporter
from tutelage.stages.resume import BEGINNING, Earlier, note_other_machine
from tutelage.training import checkpoint


@pytest.fixture
def session():
    """Whom the stage reports to, and what that heard."""
    heard = []
    return SimpleNamespace(reporter=Reporter(heard.append), heard=heard, recipe=Recipe())


def model(dtype=torch.float32, **fields):
    return CausalModel(None, torch.device("cpu"), dtype, **fields)


def codes(session):
    return [(event.level, event.code) for event in session.heard if isinstance(event, events.Message)]


@pytest.mark.parametrize(
    ("dtype", "has_products", "is_warned_of"),
    [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)],
)
def test_bfloat16_that_the_processor_only_emulates_is_warned_of(
    session, monkeypatch, dtype, has_products, is_warned_of
):
    monkeypatch.setattr(train, "has_bfloat16_products", lambda: has_products)
    train._report_plan(session, SimpleNamespace(model=model(getattr(torch, dtype))), 40, 10)
    [planned] = [event for event in session.heard if isinstance(event, events.TrainingPlanned)]
    assert (planned.steps, planned.step, planned.dtype, planned.device) == (40, 10, dtype, "cpu")
    assert codes(session) == [("warning", "device.bfloat16_emulated")] * is_warned_of


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "model.padded_rows"),
        ({"fallback_code": "model.padded_attention"}, "model.padded_attention"),
    ],
)
def test_a_model_on_padded_rows_is_noted_with_the_reason(session, fields, code):
    reason = "Its attention has sinks. Choose another model."
    train._report_plan(session, SimpleNamespace(model=model(fallback_reason=reason, **fields)), 40, 0)
    assert codes(session) == [("note", code)]
    # What was found may be an error elsewhere; here the training goes on.
    assert session.heard[0].text.startswith("Its attention has sinks. So ")


MACHINE = {"dtype": "float32", "threads": 2, "processor": "a loom", "torch": "2.11.0"}


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, None),
        ({"processor": "an abacus"}, "processor (was a loom, now an abacus)"),
        ({"torch": "2.12.0", "threads": 1}, "threads (was 2, now 1), torch (was 2.11.0, now 2.12.0)"),
        ({"peft": "0.21.0"}, "peft (was None, now 0.21.0)"),  # an older checkpoint did not say
    ],
)
def test_what_else_computes_the_rest_of_a_training_is_noted(session, monkeypatch, changed, differs):
    monkeypatch.setattr(checkpoint, "machine_of", lambda model: MACHINE | changed)
    note_other_machine(session, Earlier(SimpleNamespace(machine=MACHINE)), model())
    assert codes(session) == [("note", "run.other_machine")] * (differs is not None)
    assert [event.text.partition(". ")[0] for event in session.heard] == [
        f"resumed with a different {differs}"
    ] * len(session.heard)


def test_a_training_that_begins_compares_no_machines(session, monkeypatch):
    monkeypatch.setattr(checkpoint, "machine_of", lambda model: MACHINE)
    note_other_machine(session, BEGINNING, model())
    assert session.heard == []
