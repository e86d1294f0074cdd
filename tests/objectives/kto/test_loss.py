"""KTO against TRL's own loss on the same tokens, against its formula one answer at a time, and in micro-batches.

TRL's values were made with trl 1.16.0: `KTOTrainer._compute_loss` with loss_type="kto", on the log-probabilities of
padded rows of tests/support/judged.py by transformers' eager attention in float64. The policy and the reference were
the tiny Llamas of the seeds 1 and 0. The other way round the mean gain of the mismatched answers is negative, so that
the KL term is 0.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
from support.judged import tiny_judged
from support.tiny_models import (
    FAMILIES,
    gradients_of,
    largest_relative_difference,
    log_probs_token_by_token,
    tiny_model,
)

from tutelage.config.recipe import PreferenceSettings
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.objectives.kto.loss import gain_of_mismatched, kto_loss, kto_objective
from tutelage.training.objective import Objective
from tutelage.training.step import accumulate_gradients
from tutelage.training.validation import validate
from tutelage.tree.batches import micro_batches

MOVED_AWAY, MOVED_BACK = (1, 0), (0, 1)  # the seeds of policy and reference
TRL = {
    "KL term above 0": (MOVED_AWAY, {}, 0.5499144785862173),
    "KL term above 0, beta 0.5": (MOVED_AWAY, {"beta": 0.5}, 0.6273545649301532),
    "KL term above 0, weights": (
        MOVED_AWAY,
        {"desirable_weight": 1.33, "undesirable_weight": 0.75},
        0.5981467279882041,
    ),
    "KL term clamped": (MOVED_BACK, {}, 0.4636924275687379),
    "KL term clamped, beta 0.5": (MOVED_BACK, {"beta": 0.5}, 0.39714554746360153),
    "KL term clamped, weights": (
        MOVED_BACK,
        {"desirable_weight": 1.33, "undesirable_weight": 0.75},
        0.543594808744954,
    ),
}
TRL_METRICS = {
    "kl": 2.259309046780864,
    "desirable_reward": 0.17031271152720195,
    "undesirable_reward": 0.692162499818744,
    "margin": -0.521849788291542,
}
TRL_LOSS_OF_DESIRABLE = 0.5402082429473118  # of the desirable rows alone, the KL term clamped


def judged_from(seed, family="llama"):
    """The answers with the references of the tiny model of a seed."""
    units = tiny_judged()
    examples = [example for unit in units for example in (unit.example, unit.mismatched)]
    known = answer_log_probs(tiny_model(family, seed=seed), examples).reshape(-1, 2)
    return tiny_judged([tuple(one) for one in known.tolist()])


def validated(seeds, settings, choose=lambda unit: True):
    policy, reference = seeds
    units = [unit for unit in judged_from(reference) if choose(unit)]
    return validate(tiny_model("llama", seed=policy), units, kto_objective(PreferenceSettings(**settings)))


@pytest.mark.parametrize("name", TRL)
def test_the_loss_is_that_of_trl_on_the_same_tokens(name):
    seeds, settings, expected = TRL[name]
    assert validated(seeds, settings)["loss"] == pytest.approx(expected, abs=1e-6)


def test_kl_term_rewards_and_margin_are_those_of_trl_on_the_same_tokens():
    found = validated(MOVED_AWAY, {})
    del found["loss"]
    assert found == pytest.approx(TRL_METRICS, abs=1e-6)
    clamped = validated(MOVED_BACK, {})
    assert clamped["kl"] == 0
    assert clamped["margin"] == pytest.approx(0.521849788291542, abs=1e-6)


def test_a_step_without_undesirable_answers_has_no_mean_of_them():
    found = validated(MOVED_BACK, {}, choose=lambda unit: unit.is_desirable)
    assert found["loss"] == pytest.approx(TRL_LOSS_OF_DESIRABLE, abs=1e-6)
    assert found.keys() == {"loss", "kl", "desirable_reward"}
    other = validated(MOVED_BACK, {}, choose=lambda unit: not unit.is_desirable)
    assert other.keys() == {"loss", "kl", "undesirable_reward"}


def test_at_the_start_every_answer_loses_one_half_and_nothing_has_moved():
    found = validated((0, 0), {"desirable_weight": 3.0})
    assert found["loss"] == pytest.approx((5 * 3 + 3) / 8 / 2, rel=1e-12)  # 5 of the 8 answers are desirable
    for name in ("kl", "desirable_reward", "undesirable_reward", "margin"):
        assert found[name] == pytest.approx(0, abs=1e-12)


def in_micro_batches(model, units, size, objective):
    """Return loss, metrics and gradients of a step that is cut into micro-batches of a size."""
    model.module.zero_grad(set_to_none=True)
    cut = micro_batches(units, size=size, distinct_tokens=2048)
    assert len(cut) == len(units) // size
    loss, _, metrics = accumulate_gradients(model, cut, normalizer=len(units), objective=objective)
    means = torch.tensor([loss, *(metrics[name] for name in TRL_METRICS)], dtype=torch.float64)
    return {"means": means, **gradients_of(model.module)}


def by_hand(model, units, beta=0.1):
    """Return the same from one answer and one token at a time, by transformers' own attention and the formula."""

    def gained(example, reference):
        return log_probs_token_by_token(model.module, example).sum() - reference

    with torch.no_grad():
        mismatched = [gained(unit.mismatched, unit.mismatched_reference) for unit in units]
    kl = max(torch.stack(mismatched).mean().item(), 0.0)
    own = [gained(unit.example, unit.reference) for unit in units]
    losses = [
        1 - torch.sigmoid(beta * ((one - kl) if unit.is_desirable else (kl - one)))
        for unit, one in zip(units, own, strict=True)
    ]
    loss = torch.stack(losses).mean()
    loss.backward()
    rewards = {
        kind: sum(
            beta * one.item() for unit, one in zip(units, own, strict=True) if unit.is_desirable == kind
        )
        / sum(unit.is_desirable == kind for unit in units)
        for kind in (True, False)
    }
    means = [loss.item(), kl, rewards[True], rewards[False], rewards[True] - rewards[False]]
    return {"means": torch.tensor(means, dtype=torch.float64), **gradients_of(model.module)}


def moved_away(family):
    """A model, and answers whose mismatched ones it gained on, so that the KL term is above 0."""
    model, units = tiny_model(family, seed=1), judged_from(0, family)
    expected = by_hand(model, units)
    if expected["means"][1] == 0:
        units = [replace(unit, mismatched_reference=unit.mismatched_reference - 9) for unit in units]
        expected = by_hand(model, units)
    assert expected["means"][1] > 0.5
    return model, units, expected


@pytest.mark.parametrize("family", FAMILIES)
def test_one_two_and_eight_micro_batches_give_what_is_computed_by_hand(family):
    model, units, expected = moved_away(family)
    for size in (8, 4, 1):
        found = in_micro_batches(model, units, size, kto_objective(PreferenceSettings()))
        assert largest_relative_difference(found, expected) < 1e-10


def kl_of_the_micro_batch(model, tree, units, **given):
    """A fault: the KL term of each micro-batch alone."""
    _, count, desirable = given["statistic"]
    with torch.no_grad():
        total, own_count, _ = gain_of_mismatched(model, units, log_probs=given["log_probs"])
    given["statistic"] = torch.stack([total / own_count * count, count, desirable])
    return kto_loss(model, tree, units, settings=PreferenceSettings(), **given)


def test_a_kl_term_of_the_micro_batch_alone_is_caught():
    model, units, expected = moved_away("llama")
    faulty = Objective(kl_of_the_micro_batch, len, gain_of_mismatched)
    whole, eighths = (in_micro_batches(model, units, size, faulty) for size in (8, 1))
    assert largest_relative_difference(whole, expected) < 1e-10, "one micro-batch is the whole step"
    gradients = [
        {name: one for name, one in found.items() if name != "means"} for found in (eighths, expected)
    ]
    assert largest_relative_difference(*gradients) > 1e-3


def test_a_kl_term_that_is_not_clamped_is_caught(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "clamp", lambda tensor, **_: tensor)
    seeds, settings, expected = TRL["KL term clamped"]
    assert abs(validated(seeds, settings)["loss"] - expected) > 1e-2


def test_no_gradient_goes_through_the_kl_term():
    model, units, _ = moved_away("llama")
    asked = []

    def statistic(model, units, *, log_probs):
        found = gain_of_mismatched(model, units, log_probs=log_probs)
        asked.append(found.requires_grad)
        return found

    loss = partial(kto_loss, settings=PreferenceSettings())
    in_micro_batches(model, units, 4, Objective(loss, len, statistic))
    assert asked == [False, False]


def test_mismatched_answers_that_are_the_rows_own_are_caught():
    model, units, expected = moved_away("llama")
    own = [replace(unit, mismatched=unit.example, mismatched_reference=unit.reference) for unit in units]
    found = in_micro_batches(model, own, 8, kto_objective(PreferenceSettings()))
    assert largest_relative_difference(found, expected) > 1e-2


def test_a_reference_of_the_wrong_answer_is_caught():
    model, units, expected = moved_away("llama")
    shifted = [replace(unit, reference=units[place - 1].reference) for place, unit in enumerate(units)]
    found = in_micro_batches(model, shifted, 8, kto_objective(PreferenceSettings()))
    assert largest_relative_difference(found, expected) > 1e-2


def test_the_loss_reads_no_mismatched_answer_and_the_statistic_reads_no_other():
    model, units, _ = moved_away("llama")
    read = []

    def noted(unused, tree):
        read.append(len(tree.target_ids))
        return torch.zeros(len(tree.target_ids), dtype=torch.float64, requires_grad=True)

    cut = micro_batches(units, size=4, distinct_tokens=2048)
    accumulate_gradients(
        model, cut, normalizer=8, objective=kto_objective(PreferenceSettings()), log_probs=noted
    )
    tokens = [
        [sum(side(unit).supervised for unit in batch) for batch in cut]
        for side in (lambda unit: unit.mismatched, lambda unit: unit.example)
    ]
    assert read == [*tokens[0], *tokens[1]]
