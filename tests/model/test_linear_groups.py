"""Linear layers as one product against the layers one by one in float64: biases, weights put elsewhere, odd layers."""

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from support.tiny_models import tiny_model

from tutelage.config.recipe import AdapterSettings
from tutelage.model import linear_groups
from tutelage.model.adapters import add_adapter, start_second_halves
from tutelage.model.forward import undressed
from tutelage.model.linear_groups import LinearGroup, complete, is_plain, project, project_back

ROWS = 7
ALL_BIASES = {"attention_bias": True, "mlp_bias": True}


def sibling_layers(**settings):
    """Return the layers of a decoder layer that read the same input, with the adapters and the forward of peft."""
    module = add_adapter(
        tiny_model("llama", **settings).module, AdapterSettings(r=4, lora_alpha=12), seed=1, fused=False
    )
    start_second_halves(module, seed=2)
    layer = undressed(module).base_model.layers[0]
    attention, mlp = layer.self_attn, layer.mlp
    return [
        [attention.q_proj, attention.k_proj, attention.v_proj],
        [attention.o_proj],
        [mlp.gate_proj, mlp.up_proj],
        [mlp.down_proj],
    ]


def without_every_second_bias():
    found = sibling_layers(**ALL_BIASES)
    for layers in found:
        for layer in layers[1::2]:
            layer.base_layer.bias = None
    return found


def without_adapters():
    return [[layer.base_layer for layer in layers] for layers in sibling_layers(**ALL_BIASES)]


MADE = {
    "no biases": sibling_layers,
    "biases": lambda: sibling_layers(**ALL_BIASES),
    "some biases": without_every_second_bias,
    "no adapters": without_adapters,
}


def drawn(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_by_one(layers, x):
    return torch.cat([layer(x) for layer in layers], dim=1)


def as_one(group, x, *, is_given_memory=False):
    weights = group.weights(group.masters)
    ranks = weights.weight.shape[1] - x.shape[1]
    widened = complete(torch.cat([x, x.new_full((len(x), ranks), torch.nan)], dim=1), weights)
    out = x.new_empty(len(x), len(weights.weight)) if is_given_memory else None
    found = project(widened, weights, out=out)
    assert out is None or found is out
    return found


def inputs_of(layers):
    return drawn(ROWS, layers[0].in_features)


@pytest.mark.parametrize("is_given_memory", [False, True])
@pytest.mark.parametrize("made", MADE)
@torch.no_grad()
def test_a_group_gives_what_its_layers_give_one_by_one(made, is_given_memory):
    for layers in MADE[made]():
        x = inputs_of(layers)
        expected = one_by_one(layers, x)
        assert (
            as_one(LinearGroup(layers), x, is_given_memory=is_given_memory) - expected
        ).abs().max() < 1e-12


@pytest.mark.parametrize("made", MADE)
def test_gradients_of_a_group_are_those_of_its_layers_one_by_one(made):
    for layers in MADE[made]():
        x = inputs_of(layers).requires_grad_()
        group = LinearGroup(layers)
        result = one_by_one(layers, x)
        gradient = drawn(*result.shape, seed=4)
        expected = torch.autograd.grad(result, [x, *group.masters], gradient)
        weights = group.weights(group.masters)
        inner = x @ weights.down.t() if group.adapted else x[:, :0]
        of_x, of_masters = project_back(gradient, x, inner, weights)
        assert len(of_masters) == 2 * len(group.adapted)
        for found, wanted in zip([of_x, *of_masters], expected, strict=True):
            assert (found - wanted).norm() < 1e-12 * wanted.norm()


def a_bias_lost(self):
    return None


def biases_in_another_order(self):
    return JOINED_BIAS(self).flip(0)


JOINED_BIAS = LinearGroup._joined_bias


@pytest.mark.parametrize("fault", [a_bias_lost, biases_in_another_order])
@torch.no_grad()
def test_wrong_biases_are_caught(fault, monkeypatch):
    monkeypatch.setattr(LinearGroup, "_joined_bias", fault)
    for layers in MADE["biases"]():
        x = inputs_of(layers)
        assert (as_one(LinearGroup(layers), x) - one_by_one(layers, x)).abs().max() > 1e-2


def put_elsewhere(layer):
    """Give a layer other weights in memory of their own, as loading or moving a model does."""
    layer.base_layer.weight.data = 2 * layer.base_layer.weight.data


@torch.no_grad()
def test_weights_that_are_put_elsewhere_are_joined_again():
    for layers in sibling_layers():
        group, x = LinearGroup(layers), inputs_of(layers)
        before = as_one(group, x)
        put_elsewhere(layers[-1])
        expected = one_by_one(layers, x)
        assert (as_one(group, x) - expected).abs().max() < 1e-12
        assert (before - expected).abs().max() > 1e-2


@torch.no_grad()
def test_weights_that_were_not_joined_again_are_caught(monkeypatch):
    monkeypatch.setattr(linear_groups, "_are_parts", lambda weights, whole: True)
    for layers in sibling_layers():
        group, x = LinearGroup(layers), inputs_of(layers)
        as_one(group, x)
        put_elsewhere(layers[-1])
        assert (as_one(group, x) - one_by_one(layers, x)).abs().max() > 1e-2


class OneLayer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 6, dtype=torch.float64)

    def forward(self, x):
        return self.linear(x)


def adapted(config, *, adapters=("default",)):
    """Return one linear layer with adapters that change its results, as after some training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = get_peft_model(OneLayer(), config)
        for name in adapters[1:]:
            module.add_adapter(name, config)
        module.base_model.set_adapter(list(adapters))
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.data += 0.3 * torch.randn_like(parameter)
    return module.base_model.model.linear


def lora(**settings):
    return LoraConfig(r=2, target_modules=["linear"], **settings)


ODD = {
    "two adapters": lambda: adapted(lora(), adapters=("default", "other")),
    "a bias of B": lambda: adapted(lora(lora_bias=True)),
    "dropout": lambda: adapted(lora(lora_dropout=0.5)),
    "DoRA": lambda: adapted(lora(use_dora=True)),
    "no LoRA": lambda: adapted(IA3Config(target_modules=["linear"], feedforward_modules=[])),
}


@torch.no_grad()
def test_a_layer_with_one_plain_adapter_can_be_in_a_group():
    layer = adapted(lora())
    assert is_plain(layer)
    assert is_plain(layer.base_layer)
    x = drawn(ROWS, 8)
    assert (as_one(LinearGroup([layer]), x) - layer(x)).abs().max() < 1e-12
    assert (layer.base_layer(x) - layer(x)).abs().max() > 1e-2


@pytest.mark.parametrize("odd", ODD)
@torch.no_grad()
def test_a_layer_that_a_group_would_compute_wrong_is_not_plain(odd):
    layer = ODD[odd]()
    assert not is_plain(layer)
    x = drawn(ROWS, 8)
    assert (as_one(LinearGroup([layer]), x) - layer(x)).abs().max() > 1e-2


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_layer_whose_own_parameters_are_trained_is_not_plain(part):
    layer = adapted(lora())
    trained = getattr(layer.base_layer, part).requires_grad_()
    assert not is_plain(layer)
    assert not is_plain(layer.base_layer)
    # A group has gradients for its adapters alone.
    [gradient] = torch.autograd.grad(layer(drawn(ROWS, 8)).sum(), [trained])
    assert gradient.abs().max() > 1e-2
    assert all(master is not trained for master in LinearGroup([layer]).masters)
