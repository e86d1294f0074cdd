"""The proof in float32: which layers a tree cannot share, branches that leak, weights in half precision, and memory."""

import json
from dataclasses import replace

import pytest
import torch
from support.tiny_models import CPU, END, FAMILIES, tiny_model
from transformers import AutoModelForCausalLM, BloomConfig, GraniteMoeHybridConfig, Lfm2Config, MambaConfig

from tutelage.errors import MemoryExhaustedError, ModelError
from tutelage.model import parity_check
from tutelage.model.float32 import in_float32
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.model.layer_kinds import NAMED_AFTER
from tutelage.model.loading import context_length
from tutelage.model.parity_check import (
    ISOLATION,
    TOLERANCE,
    check_parity,
    largest_leak,
    one_at_a_time_log_probs,
)
from tutelage.model.tree_attention import ATTENTION
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

PROBES = [
    Example(3, (5, 9, 2, 7, 11, 30, 41, 52, END), prompt_tokens=5, supervised=4),
    Example(8, (5, 9, 2, 7, 12, 31, 42, 53, END), prompt_tokens=5, supervised=4),
]


def built(config, *, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    return CausalModel(module.to(dtype).eval(), CPU, dtype)


SMALL = {"vocab_size": 131, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
HYBRID = GraniteMoeHybridConfig(
    **SMALL,
    intermediate_size=32,
    shared_intermediate_size=32,
    num_key_value_heads=2,
    num_local_experts=2,
    layer_types=["mamba", "attention"],
    mamba_n_heads=8,
    mamba_d_head=8,
    mamba_n_groups=1,
)
RECURRENT = [
    HYBRID,
    Lfm2Config(**SMALL, intermediate_size=32, num_key_value_heads=2, layer_types=["conv", "full_attention"]),
    MambaConfig(vocab_size=131, hidden_size=32, num_hidden_layers=1, state_size=4),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", RECURRENT, ids=lambda config: config.model_type)
def test_recurrent_layers_are_refused_by_their_kind(config, dtype):
    with pytest.raises(ModelError) as told:
        check_parity(built(config, dtype=dtype), PROBES)
    assert told.value.code == "model.recurrent_layers"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_recurrent_layers_of_unknown_kind_are_found_by_what_they_give(monkeypatch, dtype):
    """With the small weights of a fresh model, whose differences bfloat16 would hide."""
    monkeypatch.setattr("tutelage.model.parity_check.layers_beyond_attention", lambda module: None)
    model = built(HYBRID, dtype=dtype)
    with pytest.raises(ModelError, match="gives different results over prefix trees"):
        check_parity(model, PROBES)
    with torch.no_grad(), in_float32(model.module):
        assert (
            largest_leak(replace(model, compute_dtype=torch.float32), PROBES) > 10 * ISOLATION[torch.float32]
        )


@pytest.mark.parametrize(
    "name", ["SeedOssModel", "GptOssAttention", "LlamaAttention", "MixtralSparseMoeBlock"]
)
def test_attention_is_taken_for_nothing_else(name):
    assert not NAMED_AFTER.search(name)


@pytest.mark.parametrize(
    "name",
    ["MambaMixer", "RwkvSelfAttention", "Qwen3NextGatedDeltaNet", "KimiLinearAttention", "BailingHybridDeltaAttention",
     "MiniMaxLightningAttention", "Lfm2ShortConv", "RecurrentGemmaRglru", "mLSTMLayer", "MySSM"],
)  # fmt: skip
def test_layers_that_keep_a_state_are_known_by_name(name):
    assert NAMED_AFTER.search(name)


def test_a_branch_that_reads_another_is_caught_though_the_mean_is_small(monkeypatch):
    """The broken variant: a thousandth of what a neighbouring branch says is added to each log-probability."""
    right = parity_check.target_log_probs

    def leaky(model, tree):
        found = right(model, tree)
        return (
            found + 1e-3 * torch.tensor(tree.token_ids[tree.paths[-1]][-1]) if len(tree.paths) > 1 else found
        )

    model = tiny_model("llama", dtype=torch.float32)
    check_parity(model, PROBES)
    monkeypatch.setattr(parity_check, "target_log_probs", leaky)
    monkeypatch.setattr(parity_check, "TOLERANCE", {torch.float32: 1.0})
    with pytest.raises(ModelError) as told:
        check_parity(model, PROBES)
    assert told.value.code == "model.branches_leak"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_in_half_precision_is_checked_in_float32_and_keeps_its_bits(family):
    model = tiny_model(family, dtype=torch.bfloat16)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    with torch.no_grad(), in_float32(model.module):
        wide = replace(model, compute_dtype=torch.float32)
        found = target_log_probs(wide, merge(PROBES))
        alone = torch.cat(one_at_a_time_log_probs(wide, PROBES))
    assert found.dtype == torch.float32
    assert (found - alone).abs().mean() < TOLERANCE[torch.float32] / 10
    exact = tiny_model(family, dtype=torch.bfloat16)
    exact.module.float()
    with torch.no_grad():
        reference = torch.cat(one_at_a_time_log_probs(replace(exact, compute_dtype=torch.float32), PROBES))
    assert torch.equal(alone, reference), "a layer at a time gives what a whole copy gives"
    after = model.module.state_dict()
    assert all(
        after[name].dtype == value.dtype and torch.equal(after[name], value) for name, value in before.items()
    )


def test_a_layer_at_a_time_needs_no_second_copy_of_the_weights():
    model = tiny_model("llama", dtype=torch.bfloat16)
    wide = []
    layers = list(model.module.model.layers)
    for layer in layers:
        layer.self_attn.register_forward_hook(
            lambda *_: wide.append(sum(one.mlp.up_proj.weight.dtype == torch.float32 for one in layers))
        )
    check_parity(model, PROBES)
    assert set(wide) == {1}


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_in_the_check_is_out_of_memory(monkeypatch, fault):
    def fail(model, tree):
        raise fault

    monkeypatch.setattr(parity_check, "target_log_probs", fail)
    model = tiny_model("llama", dtype=torch.bfloat16)
    with pytest.raises(MemoryExhaustedError) as told:
        check_parity(model, PROBES)
    assert told.value.code == "train.out_of_memory"
    assert model.module.lm_head.weight.dtype == torch.bfloat16


def test_a_bloom_with_small_weights_is_not_taken_for_exact():
    config = BloomConfig(vocab_size=131, hidden_size=64, n_layer=2, n_head=4)
    with pytest.raises(ModelError) as told:
        check_parity(built(config), PROBES)
    assert told.value.code == "model.attention_not_exchangeable"


@pytest.mark.parametrize("config", [{"model_type": "bloom"}, {"alibi": True}, {"max_seq_len": 2048}])
def test_a_model_without_a_last_position_has_a_context(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert context_length(tmp_path) == 2048


class InDictionaries(torch.nn.Module):
    """A model whose layers are dictionaries and lists of modules, which are never called themselves."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(
            [
                torch.nn.ModuleDict({"in": torch.nn.Linear(4, 4), "out": torch.nn.Linear(4, 4)}),
                torch.nn.ModuleList([torch.nn.Linear(4, 4)]),
                torch.nn.Sequential(torch.nn.Linear(4, 4)),
            ]
        )

    def forward(self, values):
        pair, alone, called = self.layers
        return called(alone[0](pair["out"](pair["in"](values))))


def test_layers_that_are_never_called_themselves_are_in_float32_too():
    torch.manual_seed(0)
    model = InDictionaries().bfloat16()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    values = torch.randn(3, 4)
    with torch.no_grad(), in_float32(model):
        found = model(values)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    with torch.no_grad():
        assert torch.equal(found, model.float()(values))
