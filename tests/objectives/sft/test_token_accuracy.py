"""The share of supervised tokens that a model predicts correctly, against whole logits of one token at a time."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from support.tiny_models import FAMILIES, own_attention, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings, Recipe, TrainingSettings
from tutelage.model import log_probs as log_probs_module
from tutelage.model.adapters import add_adapter
from tutelage.model.forward import CausalModel, undressed
from tutelage.model.log_probs import find_frozen_head
from tutelage.objectives import load_objective
from tutelage.objectives.sft.loss import INSTRUCTION
from tutelage.training import validation
from tutelage.training.cross_entropy import CROSS_ENTROPY, count_supervised
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.training.step import accumulate_gradients, optimizer_step
from tutelage.training.validation import validate
from tutelage.tree.batches import micro_batches

EXAMPLES = ragged_examples(16)
SUPERVISED = count_supervised(EXAMPLES)
KINDS = ("whole logits", "frozen head", "padded")


@cache
def somewhat_trained(family: str, kind: str) -> CausalModel:
    """Return a model that predicts some of the tokens and not others."""
    model = tiny_model(family)
    optimizer = make_optimizer(model.module, TrainingSettings(learning_rate=1e-3))
    for _ in range(8):
        optimizer_step(model, EXAMPLES, optimizer, micro_batch_size=16, max_grad_norm=1.0)
    model.module.eval()
    if kind == "padded":
        model.module.set_attn_implementation("eager")
        return replace(model, fallback_reason="a test wants it")
    if kind == "whole logits":
        return model
    adapted = add_adapter(model.module, AdapterSettings(r=4), seed=3).double()
    head = find_frozen_head(undressed(adapted))
    assert head is not None
    return CausalModel(adapted, model.device, model.compute_dtype, frozen_head=head)


def correct_by_hand(module, example):
    """Return whether each supervised token is the argmax, and what it was predicted from."""
    found = []
    with torch.no_grad(), own_attention(module):
        for place in range(len(example.ids) - example.supervised, len(example.ids)):
            logits = module(torch.tensor([example.ids[:place]]), use_cache=False).logits[0, -1]
            found.append((example.ids[: place + 1], logits.argmax().item() == example.ids[place]))
    return found


def step_of(model, size, objective=INSTRUCTION):
    cut = micro_batches(EXAMPLES, size=size, distinct_tokens=2048, padded=model.is_padded)
    assert len(cut) == len(EXAMPLES) / size
    model.module.zero_grad()
    loss, _, metrics = accumulate_gradients(model, cut, normalizer=SUPERVISED, objective=objective)
    return loss, metrics


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_accuracy_is_that_of_every_token_by_itself(family, kind):
    model = somewhat_trained(family, kind)
    reference = somewhat_trained(family, "whole logits").module  # a new adapter changes nothing
    every = [token for example in EXAMPLES for token in correct_by_hand(reference, example)]
    expected = sum(correct for _, correct in every) / len(every)
    assert 0.1 < expected < 0.9
    assert len(every) == SUPERVISED
    for size in (1, 4, 16):  # gradient accumulation over 16, 4 and 1 micro-batches
        assert step_of(model, size)[1] == {"mean_token_accuracy": pytest.approx(expected, rel=1e-12)}
    assert validate(model, EXAMPLES, INSTRUCTION)["mean_token_accuracy"] == pytest.approx(expected, rel=1e-12)
    # A token that several rows share counts once for each of them, as in the loss.
    once = dict(every)
    assert len(once) < len(every)
    assert sum(once.values()) / len(once) != pytest.approx(expected, rel=1e-3)


def test_a_validation_in_several_runs_gives_the_same(monkeypatch):
    model = somewhat_trained("llama", "whole logits")
    whole = validate(model, EXAMPLES, INSTRUCTION)
    monkeypatch.setattr(validation, "MAX_NODES", 20)
    assert validate(model, EXAMPLES, INSTRUCTION) == pytest.approx(whole, rel=1e-12)


def test_a_mean_of_the_means_of_micro_batches_is_caught():
    model = somewhat_trained("llama", "whole logits")
    cut = micro_batches(EXAMPLES, size=4, distinct_tokens=2048)
    means = [
        accumulate_gradients(model, [batch], normalizer=count_supervised(batch), objective=INSTRUCTION)[2]
        for batch in cut
    ]
    wrong = sum(one["mean_token_accuracy"] for one in means) / len(means)
    assert wrong != pytest.approx(step_of(model, 4)[1]["mean_token_accuracy"], rel=1e-3)


def bits_of_a_step(model, objective):
    loss, _ = step_of(model, 4, objective)
    trained = trainable_parameters(model.module)
    return loss, [parameter.grad.clone() for parameter in trained]


def is_equal_with_and_without(model):
    """Tell whether loss and gradients are the same to the bit."""
    without, gradients = bits_of_a_step(model, CROSS_ENTROPY)
    loss, found = bits_of_a_step(model, INSTRUCTION)
    assert any(gradient.any() for gradient in gradients)
    return loss == without and all(map(torch.equal, found, gradients))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_changes_no_bit_of_loss_and_gradients(monkeypatch, kind, dtype):
    model = somewhat_trained.__wrapped__("llama", kind)  # one of its own, to be cast
    model.module.to(dtype)
    model = replace(model, compute_dtype=dtype)
    assert is_equal_with_and_without(model)

    def spoils(log_probs, ids):
        return log_probs.exp_().argmax(dim=-1) == ids

    monkeypatch.setattr(log_probs_module, "_is_argmax", spoils)
    assert not is_equal_with_and_without(model)


def test_a_loss_that_does_not_ask_for_it_pays_nothing(monkeypatch):
    def fail(log_probs, ids):
        raise AssertionError("nobody asked")

    monkeypatch.setattr(log_probs_module, "_is_argmax", fail)
    for kind in KINDS:
        model = somewhat_trained("llama", kind)
        assert step_of(model, 16, CROSS_ENTROPY)[1] == {}
        with pytest.raises(AssertionError, match="nobody asked"):
            step_of(model, 16, INSTRUCTION)


def test_an_instruction_tuning_is_trained_with_it_and_a_classification_without():
    losses = {
        name: load_objective(name).training.objective(Recipe(), EXAMPLES)
        for name in ("instruction", "classification")
    }
    assert losses == {"instruction": INSTRUCTION, "classification": CROSS_ENTROPY}


def test_it_stands_beside_the_losses_in_words():
    report = load_objective("instruction").report
    figures = {"mean_token_accuracy": 0.8764}
    assert report.describe_step(figures) == "88% right"
    assert report.describe_validation(figures) == (
        "At that step, 87.6% of the supervised tokens of the validation rows are predicted correctly."
    )
    of_an_older_run = {"accuracy": 0.75}
    assert report.describe_step(of_an_older_run) is None
    assert report.describe_validation(of_an_older_run) is None
