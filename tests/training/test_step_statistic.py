"""A statistic of the whole step: known before any loss, and the same however the step is cut."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from support.centred_objective import CENTRED, CENTRED_IN_MICRO_BATCHES, SCALE
from support.tiny_models import (
    FAMILIES,
    gradients_of,
    largest_relative_difference,
    log_probs_token_by_token,
    ragged_examples,
    tiny_model,
    weights_of,
)

from tutelage.config.recipe import TrainingSettings
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.training import validation
from tutelage.training.objective import Objective
from tutelage.training.optimizer import make_optimizer
from tutelage.training.pace import measure_pace
from tutelage.training.step import accumulate_gradients, optimizer_step
from tutelage.training.validation import validate
from tutelage.tree.batches import micro_batches

EXAMPLES = ragged_examples(8)
SETTINGS = TrainingSettings(learning_rate=1e-3)


@pytest.fixture(params=FAMILIES)
def model(request) -> CausalModel:
    return tiny_model(request.param)


def step_in_micro_batches(model, size, objective=CENTRED):
    """Return loss, metrics and gradients of a step that is cut into micro-batches of a size."""
    cut = micro_batches(EXAMPLES, size=size, distinct_tokens=2048)
    assert len(cut) == len(EXAMPLES) // size
    loss, _, metrics = accumulate_gradients(model, cut, normalizer=len(EXAMPLES), objective=objective)
    means = torch.tensor([loss, metrics["above_mean"]], dtype=torch.float64)
    return {"means": means, **gradients_of(model.module)}


def step_by_hand(model):
    """Return the same from one example and one token at a time, by transformers' own attention."""
    scores = torch.stack([log_probs_token_by_token(model.module, example).sum() for example in EXAMPLES])
    ahead = scores - scores.detach().mean()
    loss = torch.log1p(torch.exp(-SCALE * ahead)).mean()
    loss.backward()
    means = torch.stack([loss.detach(), (ahead > 0).double().mean()])
    return {"means": means, **gradients_of(model.module)}


@pytest.mark.parametrize("size", [1, 4, 8])
def test_cutting_a_step_into_8_2_or_1_micro_batches_gives_what_is_computed_by_hand(model, size):
    assert largest_relative_difference(step_in_micro_batches(model, size), step_by_hand(model)) < 1e-10


def test_a_statistic_of_the_micro_batch_alone_is_caught(model):
    expected = step_by_hand(model)
    whole, halves = (step_in_micro_batches(model, size, CENTRED_IN_MICRO_BATCHES) for size in (8, 4))
    assert largest_relative_difference(whole, expected) < 1e-10, "one micro-batch is the whole step"
    assert largest_relative_difference(halves, expected) > 1e-3


def weights_after_a_step(family, size, objective):
    model = tiny_model(family)
    optimizer = make_optimizer(model.module, SETTINGS)
    result = optimizer_step(
        model,
        EXAMPLES,
        optimizer,
        micro_batch_size=size,
        max_grad_norm=1.0,
        objective=objective,
    )
    assert 0 < result.to_record()["above_mean"] < 1
    return weights_of(model.module)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_step_moves_the_weights_alike_however_it_is_cut(family):
    whole = weights_after_a_step(family, 8, CENTRED)
    for size in (1, 4):
        assert largest_relative_difference(weights_after_a_step(family, size, CENTRED), whole) < 1e-10
    wrong = weights_after_a_step(family, 4, CENTRED_IN_MICRO_BATCHES)
    assert largest_relative_difference(wrong, whole) > 1e-6


def test_every_micro_batch_has_added_to_the_statistic_before_the_first_loss():
    calls = []

    def statistic(model, units, *, log_probs):
        found = CENTRED.statistic(model, units, log_probs=log_probs)
        calls.append(("statistic", [example.row for example in units], found.requires_grad))
        return found

    def loss(model, tree, units, **given):
        calls.append(("loss", [example.row for example in units], given["statistic"].requires_grad))
        return CENTRED.loss(model, tree, units, **given)

    step_in_micro_batches(tiny_model("llama"), 4, Objective(loss, len, statistic))
    first, second = (rows for _, rows, _ in calls[:2])
    assert calls == [(kind, rows, False) for kind in ("statistic", "loss") for rows in (first, second)]
    assert sorted([*first, *second]) == sorted(example.row for example in EXAMPLES)


@pytest.mark.parametrize("most_nodes", [1, 20, 2048])
def test_all_rows_that_validate_are_one_step(model, monkeypatch, most_nodes):
    expected = step_by_hand(model)["means"].tolist()
    monkeypatch.setattr(validation, "MAX_NODES", most_nodes)
    found = validate(model, EXAMPLES, CENTRED)
    assert [found["loss"], found["above_mean"]] == pytest.approx(expected, rel=1e-10)
    wrong = validate(model, EXAMPLES, CENTRED_IN_MICRO_BATCHES)
    assert (wrong["loss"] == pytest.approx(expected[0], rel=1e-3)) == (most_nodes == 2048)


def test_where_the_memory_is_short_the_statistic_is_that_of_all_parts(monkeypatch):
    model = tiny_model("llama")
    expected = validate(model, EXAMPLES, CENTRED)
    asked = Counter()

    def short(model, tree):
        asked[len(tree.paths)] += 1
        if len(tree.paths) > 3:
            raise MemoryError
        return target_log_probs(model, tree)

    monkeypatch.setattr(validation, "target_log_probs", short)
    assert validate(model, EXAMPLES, CENTRED) == pytest.approx(expected, rel=1e-10)
    assert asked == {8: 2, 4: 4, 2: 8}


def test_a_pace_is_measured_with_the_statistic_of_what_is_timed():
    calls = Counter()

    def statistic(model, units, *, log_probs):
        calls["statistic"] += 1
        return CENTRED.statistic(model, units, log_probs=log_probs)

    counted = replace(CENTRED, statistic=statistic)
    pace = measure_pace(
        tiny_model("llama"), EXAMPLES, SETTINGS, objective=counted, read=EXAMPLES, warms_up=True
    )
    assert pace.trained_nodes > 0
    assert calls["statistic"] == 2
