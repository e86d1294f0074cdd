"""Log-probabilities of chosen tokens, from whole logits and from a frozen head in chunks."""

from dataclasses import replace

import pytest
import torch
from support.tiny_models import largest_relative_difference, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings
from tutelage.model import log_probs
from tutelage.model.adapters import add_adapter
from tutelage.model.forward import CausalModel, target_log_probs, undressed
from tutelage.model.log_probs import find_frozen_head, frozen_head_log_probs, log_probs_of
from tutelage.tree.prefix_tree import merge

FAMILIES = ["llama", "gpt2", "qwen2"]


def head_and_rows(*, dtype: torch.dtype = torch.float64, rows: int = 11):
    generator = torch.Generator().manual_seed(5)
    head = torch.nn.Linear(16, 50, dtype=dtype).requires_grad_(False)
    with torch.no_grad():
        head.weight.normal_(generator=generator)
        head.bias.normal_(generator=generator)
    hidden = torch.randn(rows, 16, generator=generator, dtype=dtype, requires_grad=True)
    ids = torch.randint(50, (rows,), generator=generator)
    return head, hidden, ids


def reference(head, hidden, ids):
    return head(hidden).log_softmax(dim=-1)[torch.arange(len(ids)), ids]


@pytest.mark.parametrize("chunk", [1, 4, 11, 256])
def test_a_frozen_head_in_chunks_gives_values_and_slopes_of_whole_logits(monkeypatch, chunk):
    monkeypatch.setattr(log_probs, "HEAD_ROWS", chunk)
    head, hidden, ids = head_and_rows()
    weights = torch.linspace(-1, 2, len(ids), dtype=torch.float64)
    expected = reference(head, hidden, ids)
    (slope,) = torch.autograd.grad((expected * weights).sum(), hidden)
    found = frozen_head_log_probs(hidden, head, ids)
    (found_slope,) = torch.autograd.grad((found * weights).sum(), hidden)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert torch.allclose(found_slope, slope, rtol=0, atol=1e-12)


def test_a_slope_without_the_targets_own_part_is_caught(monkeypatch):
    head, hidden, ids = head_and_rows()
    (slope,) = torch.autograd.grad(reference(head, hidden, ids).sum(), hidden)
    monkeypatch.setattr(log_probs, "_gradient", lambda probabilities, ids: probabilities.neg_())
    (wrong,) = torch.autograd.grad(frozen_head_log_probs(hidden, head, ids).sum(), hidden)
    assert not torch.allclose(wrong, slope, rtol=0, atol=1e-2)


def test_whole_logits_give_values_and_slopes_of_log_softmax():
    _, _, ids = head_and_rows(rows=5)
    logits = torch.randn(5, 50, dtype=torch.float64, requires_grad=True)
    weights = torch.linspace(-1, 2, 5, dtype=torch.float64)
    expected = logits.log_softmax(dim=-1)[torch.arange(5), ids]
    (slope,) = torch.autograd.grad((expected * weights).sum(), logits)
    found = log_probs_of(logits, ids)
    (found_slope,) = torch.autograd.grad((found * weights).sum(), logits)
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)
    assert torch.allclose(found_slope, slope, rtol=0, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 4, 256])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_argmax_is_that_of_whole_logits(monkeypatch, chunk, dtype):
    monkeypatch.setattr(log_probs, "HEAD_ROWS", chunk)
    head, hidden, ids = head_and_rows(dtype=dtype)
    logits = head(hidden)
    ids[::2] = logits.argmax(dim=-1)[::2]
    expected = logits.argmax(dim=-1) == ids
    assert expected.sum() in range(6, 11)
    found = torch.zeros(2, len(ids), dtype=torch.bool)
    frozen_head_log_probs(hidden, head, ids, found[0])
    log_probs_of(logits, ids, found[1])
    assert torch.equal(found, expected.repeat(2, 1))


def test_of_equal_logits_the_first_is_the_argmax():
    head, hidden, _ = head_and_rows(dtype=torch.bfloat16, rows=2)
    with torch.no_grad():
        hidden[1] = hidden[0]
        head.weight[[20, 30]] = hidden[0] * 9
        head.bias[[20, 30]] = 1.0
    logits = head(hidden)
    assert (logits == logits.amax(dim=-1, keepdim=True)).sum(dim=-1).tolist() == [2, 2]
    ids = torch.tensor([20, 30])
    found = torch.zeros(2, 2, dtype=torch.bool)
    frozen_head_log_probs(hidden, head, ids, found[0])
    log_probs_of(logits, ids, found[1])
    assert found.tolist() == [[True, False], [True, False]]


def test_a_frozen_head_keeps_nothing_of_the_size_of_the_vocabulary():
    head, hidden, ids = head_and_rows(rows=300)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t
    ):
        frozen_head_log_probs(hidden, head, ids)
    assert max(kept) == hidden.numel() < 300 * 50


def test_a_confident_model_still_gets_the_slope_of_what_is_left_to_learn():
    head, hidden, ids = head_and_rows(dtype=torch.bfloat16, rows=4)
    with torch.no_grad():
        hidden.copy_(head.weight[ids] * 3)  # the target's logit stands far above all others
    exact_head, exact_hidden = head_and_rows()[0], hidden.detach().double().requires_grad_()
    exact_head.load_state_dict({name: tensor.double() for name, tensor in head.state_dict().items()})
    (exact,) = torch.autograd.grad(reference(exact_head, exact_hidden, ids).sum(), exact_hidden)
    (found,) = torch.autograd.grad(frozen_head_log_probs(hidden, head, ids).sum(), hidden)
    # Taking W[target] - p W in bfloat16 instead would leave an error of the size of W itself.
    assert (found.double() - exact).norm() <= 0.05 * exact.norm() + 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapted_model_gives_the_same_through_its_frozen_head_as_through_whole_logits(family):
    model = tiny_model(family)
    adapted = add_adapter(model.module, AdapterSettings(r=4), seed=3).double()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(7))
    whole = CausalModel(adapted, model.device, model.compute_dtype)
    in_chunks = replace(whole, frozen_head=find_frozen_head(undressed(adapted)))
    assert in_chunks.frozen_head is not None
    tree = merge(ragged_examples(16))
    found = []
    for variant in (whole, in_chunks):
        adapted.zero_grad()
        log_probabilities = target_log_probs(variant, tree)
        log_probabilities.sum().backward()
        found.append((log_probabilities.detach(), trained_gradients(adapted)))
    assert torch.allclose(found[0][0], found[1][0], rtol=0, atol=1e-11)
    assert largest_relative_difference(found[1][1], found[0][1]) < 1e-10


def trained_gradients(module):
    return {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def test_a_head_that_is_trained_scaled_or_adapted_is_not_taken_for_a_plain_one():
    module = tiny_model("llama").module
    assert find_frozen_head(module) is None, "its weights are trained"
    module.requires_grad_(False)
    assert find_frozen_head(module) is module.lm_head
    module.lm_head.register_forward_hook(lambda layer, inputs, output: output)
    scaled = module.forward
    module.forward = lambda *arguments, **options: _with_half_the_logits(scaled(*arguments, **options))
    assert find_frozen_head(module) is None, "its logits are scaled"


def _with_half_the_logits(output):
    output.logits = output.logits / 2
    return output


def test_layers_that_share_an_input_answer_alone_where_the_input_is_another():
    module = tiny_model("llama").module
    adapted = add_adapter(module, AdapterSettings(r=4), seed=3).double()
    attention = adapted.get_base_model().model.layers[0].self_attn
    first, second = torch.randn(2, 1, 5, 64, dtype=torch.float64)
    together = [layer(first) for layer in (attention.q_proj, attention.k_proj, attention.v_proj)]
    apart = attention.k_proj(second)
    assert torch.equal(attention.k_proj(first), together[1])
    assert not torch.equal(apart, together[1])
    assert torch.equal(attention.q_proj(first), together[0])


def test_stacked_weights_follow_a_model_that_is_cast_after_it_was_fused():
    module = tiny_model("llama").module
    adapted = add_adapter(module, AdapterSettings(r=4), seed=3).double()
    tree = merge(ragged_examples(6))
    model = CausalModel(adapted, torch.device("cpu"), torch.float64)
    before = target_log_probs(model, tree)
    with torch.no_grad():
        adapted.get_base_model().model.layers[0].self_attn.k_proj.base_layer.weight.data = torch.zeros(
            adapted.get_base_model().model.layers[0].self_attn.k_proj.base_layer.weight.shape,
            dtype=torch.float64,
        )
    assert not torch.allclose(target_log_probs(model, tree), before, atol=1e-3)
