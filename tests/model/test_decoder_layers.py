"""Decoder layers as one step: their values and slopes against transformers' own code, and who keeps that code."""

import copy
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from support.tiny_models import (
    CPU,
    END,
    largest_relative_difference,
    log_probs_token_by_token,
    ragged_examples,
    tiny_model,
)
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    MistralConfig,
    Olmo2Config,
    Qwen3Config,
    SmolLM3Config,
)

from tutelage.config.recipe import AdapterSettings
from tutelage.generation.generate import generate
from tutelage.model import layer_step, tree_attention, tree_plan
from tutelage.model.adapters import add_adapter
from tutelage.model.decoder_layers import fuse_layers
from tutelage.model.forward import CausalModel, target_log_probs, undressed
from tutelage.model.tree_attention import ATTENTION
from tutelage.tree.prefix_tree import merge

FUSED_FAMILIES = ("llama", "qwen2")
SETTINGS = AdapterSettings(r=4, lora_alpha=12)
EXAMPLES = ragged_examples(12)


def adapted(
    family: str, *, settings: AdapterSettings = SETTINGS, dtype: torch.dtype = torch.float64
) -> torch.nn.Module:
    """A model as after some training, its layers still as transformers and peft have them."""
    module = add_adapter(tiny_model(family, dtype=dtype).module, settings, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return module


def fused(module: torch.nn.Module) -> torch.nn.Module:
    assert fuse_layers(undressed(module)) == 2
    return module


def log_probs(module, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    with torch.no_grad():
        return target_log_probs(CausalModel(module, CPU, dtype), merge(EXAMPLES))


def alone(module) -> torch.Tensor:
    """By transformers' own layers and attention, token by token: without a tree the fused forward steps aside."""
    with torch.no_grad():
        return torch.cat([log_probs_token_by_token(module, example) for example in EXAMPLES])


def gradients(module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad(set_to_none=True)
    loss.backward()
    return {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.requires_grad}


def tree_gradients(module) -> dict[str, torch.Tensor]:
    model = CausalModel(module, CPU, torch.float64)
    return gradients(module, -target_log_probs(model, merge(EXAMPLES)).sum())


def gradients_alone(module) -> dict[str, torch.Tensor]:
    return gradients(
        module, -torch.cat([log_probs_token_by_token(module, example) for example in EXAMPLES]).sum()
    )


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_fused_layers_give_the_log_probabilities_of_one_example_at_a_time(family):
    base = tiny_model(family).module.requires_grad_(False)
    for module in (fused(base), fused(adapted(family))):
        assert (log_probs(module) - alone(module)).abs().max() < 1e-10


TARGETS = {
    "all layers": "all-linear",
    "query and value": ["q_proj", "v_proj"],
    "one of two that share an input": ["up_proj"],
    "output and down": ["o_proj", "down_proj"],
}


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_gradients_of_adapters_are_the_sum_of_those_of_each_example(family, targets):
    settings = SETTINGS.model_copy(update={"target_modules": TARGETS[targets]})
    module = fused(adapted(family, settings=settings))
    found, expected = tree_gradients(module), gradients_alone(module)
    assert largest_relative_difference(found, expected) < 1e-10


def gradients_and_saved(module, *, most_kept: int) -> tuple[dict[str, torch.Tensor], int]:
    """Return the gradients, and how many numbers the pass kept for them."""
    sizes = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with (
        patch.object(tree_plan, "MOST_NODES_KEPT", most_kept),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        found = tree_gradients(module)
    return found, sum(sizes)


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_gradients_over_runs_of_the_fused_kernel_are_the_sum_of_those_of_each_example(family):
    module = fused(adapted(family))
    with patch.object(tree_plan, "FUSED_RUN", 3):
        found = tree_gradients(module)
    assert largest_relative_difference(found, gradients_alone(module)) < 1e-10


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_layers_that_are_computed_again_do_not_compute_the_attention_of_runs_again(family):
    module = fused(adapted(family))
    with (
        patch.object(tree_plan, "FUSED_RUN", 3),
        patch.object(tree_attention, "attend_in_run", wraps=tree_attention.attend_in_run) as attend,
    ):
        kept, sizes_kept = gradients_and_saved(module, most_kept=1000)
        calls = attend.call_count
        again, sizes_again = gradients_and_saved(module, most_kept=10)
    assert attend.call_count == 2 * calls > 0
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    assert sizes_again < 0.6 * sizes_kept


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_layers_of_a_long_row_are_computed_again_to_the_same_gradients_from_their_input_alone(family):
    module = fused(adapted(family))
    kept, sizes_kept = gradients_and_saved(module, most_kept=1000)
    again, sizes_again = gradients_and_saved(module, most_kept=10)
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    nodes, hidden = len(merge(EXAMPLES).token_ids), module.config.hidden_size
    assert sizes_again < 0.4 * sizes_kept
    assert sizes_kept > 2 * 8 * nodes * hidden


def norm_without_its_mean(gradient, x, weight, scale):
    return gradient * weight * scale


def rotated_the_same_way(gradient, cos, sin):
    return layer_step.rotate(gradient, cos, sin, out=torch.empty_like(gradient))


def residual_lost(gradient, x, weight, scale):
    return NORM_BACK(gradient, x, weight, scale) - gradient


def without_the_slope_of_an_adapter(gradient, x, inner, group):
    of_x, of_masters = PROJECT_BACK(gradient, x, inner, group)
    return gradient @ group.weight[:, : of_x.shape[1]], of_masters


NORM_BACK, PROJECT_BACK = layer_step.rms_norm_back, layer_step.project_back


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("rms_norm_back", norm_without_its_mean),
        ("rms_norm_back", residual_lost),
        ("rotate_back", rotated_the_same_way),
        ("project_back", without_the_slope_of_an_adapter),
    ],
)
@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_a_wrong_slope_is_caught(family, name, fault):
    module = fused(adapted(family))
    with patch.object(layer_step, name, fault):
        found = tree_gradients(module)
    assert largest_relative_difference(found, gradients_alone(module)) > 1e-2


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_bfloat16_is_as_near_as_with_transformers_own_layers(family):
    exact = adapted(family)
    ours, theirs = (adapted(family, dtype=torch.bfloat16) for _ in range(2))
    exact.load_state_dict(ours.state_dict())
    right = log_probs(exact)

    def error(module) -> float:
        return (log_probs(module, torch.bfloat16) - right).norm().item()

    assert error(fused(ours)) < 1.1 * error(theirs)


def test_switching_the_adapter_off_gives_the_base_and_on_again_the_same():
    module = fused(adapted("llama"))
    before = log_probs(module)
    with module.disable_adapter():
        off = log_probs(module)
    base = log_probs(tiny_model("llama").module)
    assert (off - base).abs().max() < 1e-12
    assert torch.equal(log_probs(module), before)
    assert (before - base).abs().max() > 1e-2


def test_a_copy_has_weights_of_its_own():
    module = fused(adapted("llama"))
    before = log_probs(module)
    other = copy.deepcopy(module)
    for parameter in other.parameters():
        parameter.data.zero_()
    assert torch.equal(log_probs(module), before)
    assert not torch.equal(log_probs(other), before)


def test_the_adapters_of_a_step_are_those_that_are_used():
    """B stands beside the frozen weights; what an earlier step wrote there must not last."""
    module = fused(adapted("llama"))
    log_probs(module)
    for name, parameter in module.named_parameters():
        if "lora_" in name:
            parameter.data *= 2
    assert (log_probs(module) - alone(module)).abs().max() < 1e-10


def test_an_adapter_that_is_frozen_after_a_step_is_the_one_of_after_the_step():
    module = fused(adapted("llama"))
    log_probs(module)
    for name, parameter in module.named_parameters():
        if "lora_" in name:
            parameter.data *= 2
    module.requires_grad_(False)
    for _ in range(2):
        assert (log_probs(module) - alone(module)).abs().max() < 1e-10


def test_a_frozen_adapter_that_is_written_over_is_the_new_one():
    module = fused(adapted("llama")).requires_grad_(False)
    before = log_probs(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.mul_(2)
    assert not torch.equal(log_probs(module), before)
    assert (log_probs(module) - alone(module)).abs().max() < 1e-10


@pytest.mark.parametrize("name", ["llama", "qwen2"])  # Qwen2 has biases
def test_packed_weights_give_what_plain_ones_do(name):
    module = fused(adapted(name, dtype=torch.bfloat16)).requires_grad_(False)
    groups = [group for layer in undressed(module).base_model.layers for group in layer.forward.parts.groups]
    for group in groups:
        weights = group.weights(group.masters)
        if weights.packed is None:
            pytest.skip("no kernel for packed bfloat16 weights runs on this processor")
        x = torch.randn(3, weights.weight.shape[1], generator=torch.Generator().manual_seed(1)).bfloat16()
        plain = layer_step.project(x, replace(weights, packed=None))
        packed = layer_step.project(x, weights)
        assert (packed - plain).abs().max() <= 0.02 * plain.abs().max()
        # A weight that is another is told apart.
        assert (layer_step.project(2 * x, weights) - plain).abs().max() > 0.02 * plain.abs().max()


SHAPE = {
    "vocab_size": END + 1,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.25,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (MistralConfig(**SHAPE, sliding_window=None), 2),
        (SmolLM3Config(**SHAPE, no_rope_layers=[1, 0], use_sliding_window=False), 0),  # one does not rotate
        (Qwen3Config(**SHAPE, head_dim=16), 0),  # norms of query and key
        (GraniteConfig(**SHAPE, residual_multiplier=0.5), 0),
        (Olmo2Config(**SHAPE), 0),  # norms after the layers
        (CohereConfig(**SHAPE), 0),  # one norm for both halves
        (Gemma2Config(**SHAPE, head_dim=16), 0),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_only_layers_that_give_what_they_gave_before_are_fused(config, count):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    assert fuse_layers(module.requires_grad_(False)) == count


def test_layers_whose_weights_or_dropouts_a_step_would_miss_are_not_fused():
    assert fuse_layers(tiny_model("llama").module) == 0  # every weight is trained
    dropout = SETTINGS.model_copy(update={"lora_dropout": 0.1})
    assert fuse_layers(undressed(adapted("llama", settings=dropout))) == 0
    assert fuse_layers(tiny_model("gpt2").module.requires_grad_(False)) == 0


def test_fusing_twice_is_fusing_once():
    module = fused(adapted("llama"))
    before = log_probs(module)
    fused(module)
    layer = undressed(module).base_model.layers[0]
    assert not hasattr(layer.forward.own_forward, "own_forward")
    assert torch.equal(log_probs(module), before)


@pytest.mark.parametrize("family", FUSED_FAMILIES)
def test_answers_through_fused_layers_are_those_of_transformers_own(family):
    prompts = [example.prompt_ids for example in ragged_examples(24, seed=5)]

    def answers(module) -> list[tuple[int, ...]]:
        model = CausalModel(module.eval(), CPU, torch.float64)
        found = generate(model, prompts, end_tokens=[END], max_new_tokens=8, batch_size=7)
        return [answer.ids for answer in found]

    module = adapted(family)
    expected = answers(module)
    assert answers(fused(module)) == expected
    assert answers(tiny_model(family).module) != expected
