"""LoRA: what it computes, by hand from its two matrices, and that it comes back from a folder bit for bit."""

import copy
import json
import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from support.tiny_models import (
    CPU,
    FAMILIES,
    largest_relative_difference,
    log_probs_token_by_token,
    ragged_examples,
    tiny_model,
)

from tutelage.config.recipe import AdapterSettings
from tutelage.errors import ModelError, RecipeError
from tutelage.model.adapters import add_adapter, load_adapter, save_adapter
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.tree.prefix_tree import merge

SETTINGS = AdapterSettings(r=4, lora_alpha=12)
SCALING = 12 / 4
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
# Layers that read the same input run as one wider product, and a wider product may add in another order.
# Measured in docs/decisions/0010-wider-products.md.
ADDED_IN_ANOTHER_ORDER = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 0.1}


def log_probs(module, dtype=torch.float64) -> torch.Tensor:
    module.eval()
    with torch.no_grad():
        return target_log_probs(CausalModel(module, CPU, dtype), merge(ragged_examples(12)))


def adapter_weights(module) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().clone() for name, parameter in module.named_parameters() if "lora_" in name
    }


def tuned(family: str, dtype=torch.float64):
    """An adapter as after some training: its second matrices are not 0 any more."""
    module = add_adapter(tiny_model(family, dtype=dtype).module, SETTINGS, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return module


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another():
    def fresh(seed: int) -> dict[str, torch.Tensor]:
        return adapter_weights(add_adapter(tiny_model("llama").module, SETTINGS, seed=seed))

    torch.manual_seed(11)
    first = fresh(5)
    torch.manual_seed(22)
    again, another = fresh(5), fresh(6)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], another[name]) for name in first if "lora_A" in name)


def test_making_an_adapter_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    add_adapter(tiny_model("llama").module, SETTINGS, seed=5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_adapter_answers_as_the_base(family, dtype):
    base = log_probs(tiny_model(family, dtype=dtype).module, dtype)
    module = add_adapter(tiny_model(family, dtype=dtype).module, SETTINGS, seed=1)
    difference = (log_probs(module, dtype) - base).abs().max()
    assert difference <= ADDED_IN_ANOTHER_ORDER[dtype]
    assert (log_probs(tuned(family, dtype), dtype) - base).abs().max() > ADDED_IN_ANOTHER_ORDER[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_tuned_adapter_that_is_switched_off_answers_as_the_base_and_then_as_before(family, dtype):
    base = log_probs(tiny_model(family, dtype=dtype).module, dtype)
    module = tuned(family, dtype)
    adapted = log_probs(module, dtype)
    with module.disable_adapter():
        assert torch.equal(log_probs(module, dtype), base)
    assert torch.equal(log_probs(module, dtype), adapted)
    assert (adapted - base).abs().max() > 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_adapter_on_a_fresh_base_is_bitwise_the_same(tmp_path, family, dtype):
    module = tuned(family, dtype)
    save_adapter(module, tmp_path, base="a-base")
    loaded = load_adapter(tiny_model(family, dtype=dtype).module, tmp_path)
    weights, back = adapter_weights(module), adapter_weights(loaded)
    assert weights.keys() == back.keys()
    assert all(torch.equal(weights[name], back[name]) for name in weights)
    assert torch.equal(log_probs(loaded, dtype), log_probs(module, dtype))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_an_adapter_on_another_base_is_caught(tmp_path):
    module = tuned("llama")
    save_adapter(module, tmp_path, base="a-base")
    loaded = load_adapter(tiny_model("llama", seed=1).module, tmp_path)
    assert (log_probs(loaded) - log_probs(module)).abs().max() > 0.1


def test_a_saved_adapter_whose_scale_is_lost_is_caught(tmp_path):
    module = tuned("llama")
    save_adapter(module, tmp_path, base="a-base")
    config = tmp_path / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 12', '"lora_alpha": 4'))
    loaded = load_adapter(tiny_model("llama").module, tmp_path)
    assert (log_probs(loaded) - log_probs(module)).abs().max() > 1e-3


def test_the_layers_of_a_saved_adapter_are_named_in_one_order(tmp_path):
    save_adapter(tuned("llama"), tmp_path, base="a/base")
    named = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(named) > 3
    assert named == sorted(named)


def test_a_saved_adapter_names_its_base_as_the_user_did(tmp_path):
    save_adapter(tuned("llama"), tmp_path, base="smollm2-135m-instruct")
    assert (
        '"base_model_name_or_path": "smollm2-135m-instruct"' in (tmp_path / "adapter_config.json").read_text()
    )


def merged_by_hand(family: str, module) -> tuple[torch.nn.Module, dict[str, str]]:
    """Return a base whose weights are W + scaling * B A, and by adapted weight the stem of its adapter's names."""
    base = tiny_model(family).module
    weights = dict(base.named_parameters())
    adapter = adapter_weights(module)
    stems = {}
    for name, down in adapter.items():
        if "lora_A" not in name:
            continue
        stem = name.split(".lora_A")[0]
        weight_name = stem.removeprefix("base_model.model.") + ".weight"
        update = SCALING * adapter[name.replace("lora_A", "lora_B")] @ down
        # GPT-2 keeps its weights transposed.
        weights[weight_name].data += update.T if family == "gpt2" else update
        stems[weight_name] = stem
    return base, stems


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_adds_its_scaled_product_to_every_linear_layer_but_the_head(family):
    module = tuned(family)
    base, stems = merged_by_hand(family, module)
    layers = {"llama": 7, "gpt2": 4, "qwen2": 7}[family]
    assert len(stems) == 2 * layers
    torch.testing.assert_close(log_probs(module), log_probs(base), rtol=0, atol=1e-10)


def gradients_by_hand(family: str, module, examples) -> dict[str, torch.Tensor]:
    """From dW of the merged weights, one example at a time: dA = scaling * B^T dW and dB = scaling * dW A^T."""
    base, stems = merged_by_hand(family, module)
    for example in examples:
        (-log_probs_token_by_token(base, example).sum()).backward()
    gradients = {}
    adapter = adapter_weights(module)
    for weight_name, stem in stems.items():
        full = base.get_parameter(weight_name).grad
        full = full.T if family == "gpt2" else full
        down, up = (f"{stem}.lora_{half}.default.weight" for half in "AB")
        gradients[down] = SCALING * adapter[up].T @ full
        gradients[up] = SCALING * full @ adapter[down].T
    return gradients


def tree_gradients(module, examples, dtype) -> dict[str, torch.Tensor]:
    module.train()
    (-target_log_probs(CausalModel(module, CPU, dtype), merge(examples)).sum()).backward()
    return {
        name: parameter.grad.double()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_an_adapter_are_those_by_hand(family):
    module, examples = tuned(family), ragged_examples(12)
    found = tree_gradients(module, examples, torch.float64)
    assert largest_relative_difference(found, gradients_by_hand(family, module, examples)) < 1e-10


def test_gradients_without_the_scale_are_caught():
    module, examples = tuned("llama"), ragged_examples(12)
    found = tree_gradients(module, examples, torch.float64)
    by_hand = gradients_by_hand("llama", module, examples)
    unscaled = {name: gradient / SCALING for name, gradient in by_hand.items()}
    assert largest_relative_difference(found, unscaled) > 1


def plain_peft(family: str, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The same adapter with nothing of ours in between."""
    config = LoraConfig(
        r=4,
        lora_alpha=12,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        fan_in_fan_out=family == "gpt2",
    )
    module = get_peft_model(tiny_model(family, dtype=torch.bfloat16).module, config)
    for name, weight in weights.items():
        module.get_parameter(name).data.copy_(weight)
    return module


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # peft asks transformers by an old name
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_over_a_bfloat16_base_are_as_near_as_those_of_plain_peft(family):
    examples = ragged_examples(12)
    module = tuned(family, torch.bfloat16)
    exact = tuned(family)
    exact.load_state_dict(module.state_dict())
    by_hand = gradients_by_hand(family, exact, examples)

    def error(adapted) -> float:
        found = tree_gradients(adapted, examples, torch.bfloat16)
        squares = [((found[name] - by_hand[name]).norm() / by_hand[name].norm()) ** 2 for name in by_hand]
        return torch.stack(squares).mean().sqrt().item()

    # The base rounds alike in both; what is added must not add to that.
    assert error(module) < 1.25 * error(plain_peft(family, adapter_weights(module)))


def test_dropout_before_an_adapter_acts_in_training_alone():
    settings = SETTINGS.model_copy(update={"lora_dropout": 0.5})
    module = add_adapter(tiny_model("llama").module, settings, seed=1)
    module.load_state_dict(tuned("llama").state_dict())
    tree = merge(ragged_examples(12))
    torch.testing.assert_close(log_probs(module), log_probs(tuned("llama")), rtol=0, atol=1e-10)
    module.train()
    with torch.no_grad():
        dropped = target_log_probs(CausalModel(module, CPU, torch.float64), tree)
    assert (dropped - log_probs(module)).abs().max() > 1e-3


def test_only_the_adapter_is_trained():
    module = tuned("llama")
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained == set(adapter_weights(module))


@pytest.mark.parametrize("names", [["no_such_layer"], "no_such_layer", ["input_layernorm"]])
def test_layers_that_the_model_does_not_have_are_refused_by_name(names):
    settings = AdapterSettings(target_modules=names)
    with pytest.raises(RecipeError, match=r"adapter\.target_modules is .*, which does not fit this model"):
        add_adapter(tiny_model("llama").module, settings, seed=0)


def test_only_the_named_layers_are_adapted():
    module = add_adapter(
        tiny_model("llama").module, AdapterSettings(target_modules=["q_proj", "v_proj"]), seed=0
    )
    assert {name.split(".lora_")[0].rsplit(".", 1)[1] for name in adapter_weights(module)} == {
        "q_proj",
        "v_proj",
    }


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
        load_adapter(tiny_model("llama").module, tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_is_made_saved_and_loaded_in_silence(tmp_path, family, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_adapter(tuned(family), tmp_path, base="a-base")
        load_adapter(tiny_model(family).module, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_copy_of_an_adapted_model_has_weights_of_its_own():
    module = tuned("llama")
    before = log_probs(module)
    other = copy.deepcopy(module)
    for parameter in other.parameters():
        parameter.data.zero_()
    assert torch.equal(log_probs(module), before)
    assert not torch.equal(log_probs(other), before)
