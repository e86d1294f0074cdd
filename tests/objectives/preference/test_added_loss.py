"""A loss that stands outside of the program is trained with once it is named in the table."""

import json

import pytest
from support import hinge_loss
from support.pages import Page
from support.pairs import preference_values, tiny_pairs
from support.tiny_models import log_probs_token_by_token, tiny_model

from tutelage.config.extensions import PREFERENCE_LOSSES, LossEntry
from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.loss import preference_objective
from tutelage.objectives.preference.losses import load_loss
from tutelage.run.folder import RunFolder, read_json
from tutelage.training.validation import validate

TUNE = [
    "--set", "training.objective=dpo",
    "--set", "training.dtype=float32",
    "--set", "training.max_steps=6",
    "--set", "training.learning_rate=0.02",
    "--set", "training.sample_prompts=0",
    "--set", "adapter.r=2",
    "--set", "data.train_size=0.5",
    "--set", "data.test_size=0.3",
    "--set", "evaluation.max_new_tokens=8",
    "--set", "evaluation.general_text=false",
]  # fmt: skip


@pytest.fixture
def registered(monkeypatch):
    """Make the one entry by which the program finds it."""
    monkeypatch.setitem(PREFERENCE_LOSSES, "hinge", LossEntry("support.hinge_loss", ("gamma",)))
    yield
    load_loss.cache_clear()


def mean_hinge(pairs, *, beta, gamma):
    """The mean over pairs, from a model that reads every token by itself."""
    module = tiny_model("llama").module
    losses = []
    for pair in pairs:
        chosen, rejected = (
            log_probs_token_by_token(module, example).sum().item() for example in pair.examples
        )
        losses.append(max(0.0, gamma - beta * (chosen - rejected)))
    return sum(losses) / len(losses)


@pytest.mark.usefixtures("registered")
def test_an_added_loss_is_its_formula_without_a_reference():
    pairs = tiny_pairs([(-3.0, -1.0)] * 4)
    settings = PreferenceSettings(loss="hinge", beta=0.5, gamma=4.0)
    expected = mean_hinge(pairs, beta=0.5, gamma=4.0)
    found = validate(tiny_model("llama"), pairs, preference_objective(settings))["loss"]
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("registered")
def test_the_same_loss_from_a_start_is_another(monkeypatch):
    monkeypatch.setattr(hinge_loss, "LOSS", hinge_loss.FROM_A_START)
    pairs = tiny_pairs([(-3.0, -1.0)] * 4)
    settings = PreferenceSettings(loss="hinge", beta=0.5, gamma=4.0)
    found = validate(tiny_model("llama"), pairs, preference_objective(settings))["loss"]
    assert found != pytest.approx(mean_hinge(pairs, beta=0.5, gamma=4.0), abs=1e-2)


@pytest.mark.usefixtures("registered")
def test_one_command_trains_with_it_and_names_it(tutelage, workplace, model):
    (workplace / "my.json").write_text(json.dumps(preference_values(60)))
    chosen = ["--set", "preference.loss=hinge", "--set", "preference.gamma=20.0"]
    begin = ["--data", "my.json", "--output", "mine", "--set", f"model.name_or_path={model}"]
    ended = tutelage("run", *begin, *chosen, *TUNE)
    assert ended.code == 0, ended.err
    run = RunFolder(workplace / "mine")
    losses = read_json(run.training)["loss"]
    assert losses["best"] < losses["before"]
    assert not run.reference.exists()
    assert "Hinge loss, nats per pair" in Page(run.report.read_text()).text


@pytest.mark.usefixtures("registered")
def test_a_parameter_of_others_is_refused_and_its_takers_are_named():
    with pytest.raises(ValueError, match="gamma belongs to the losses simpo and hinge, but the loss is ipo"):
        PreferenceSettings(loss="ipo", gamma=1.0)
    with pytest.raises(
        ValueError, match="label_smoothing belongs to the losses sigmoid and simpo, but the loss"
    ):
        PreferenceSettings(loss="hinge", label_smoothing=0.1)


def test_a_loss_that_nobody_registered_is_no_value():
    with pytest.raises(ValueError, match="'sigmoid', 'ipo', 'orpo' or 'simpo'"):
        PreferenceSettings(loss="hinge")
