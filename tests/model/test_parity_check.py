"""The proof before the first step: right models pass in every type, wrong ones are refused."""

import json

import pytest
import torch
from support.tiny_models import (
    CPU,
    END,
    FAMILIES,
    log_probs_token_by_token,
    own_attention,
    ragged_examples,
    tiny_model,
)
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    BloomConfig,
    DeepseekV3Config,
    Gemma2Config,
    MistralConfig,
    StableLmConfig,
)

from tutelage.errors import ModelError
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.model.loading import context_length
from tutelage.model.parity_check import check_parity, one_at_a_time_log_probs
from tutelage.model.tree_attention import ATTENTION
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
PROBES = [
    Example(3, (5, 9, 2, 7, 11, 30, 41, 52, END), prompt_tokens=5, supervised=4),
    Example(8, (5, 9, 2, 7, 12, 31, 42, 53, END), prompt_tokens=5, supervised=4),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_right_model_passes_in_every_type(family, dtype):
    check_parity(tiny_model(family, dtype=dtype), PROBES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_right_model_passes_on_any_probes(family):
    for seed in range(5):
        check_parity(tiny_model(family), ragged_examples(8, seed=seed))


def test_a_tree_that_cannot_be_built_is_not_blamed_on_the_model(monkeypatch):
    def fail(examples):
        raise ValueError("no tree")

    monkeypatch.setattr("tutelage.model.parity_check.merge", fail)
    with pytest.raises(ValueError, match="^no tree$"):
        check_parity(tiny_model("llama"), PROBES)


def everyone_sees_all_before(module, query, key, value, attention_mask, *, tree_plan, **options):
    nodes = query.shape[2]
    rows = sum(len(batch.query_rows) for batch in tree_plan.batches)
    assert rows == query.shape[1] * nodes  # the tree did come as far as here
    causal = torch.ones(1, 1, nodes, nodes, dtype=torch.bool).tril()
    return AttentionInterface()[ATTENTION](module, query, key, value, causal, **options)


AttentionInterface.register("ignores-the-tree", everyone_sees_all_before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_whose_attention_ignores_the_tree_is_refused(family, dtype):
    model = tiny_model(family, dtype=dtype)
    model.module.set_attn_implementation("ignores-the-tree")
    with pytest.raises(ModelError, match="gives different results over prefix trees"):
        check_parity(model, PROBES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_counts_its_own_positions_is_refused(family, dtype):
    model = tiny_model(family, dtype=dtype)

    def forget(module, positional, arguments):
        return positional, arguments | {"position_ids": None}

    model.module.register_forward_pre_hook(forget, with_kwargs=True)
    with pytest.raises(ModelError, match="gives different results over prefix trees"):
        check_parity(model, PROBES)


def test_a_model_with_numbers_that_are_not_finite_is_refused():
    model = tiny_model("llama")
    model.module.lm_head.weight.data[3, 3] = float("nan")
    with pytest.raises(ModelError, match="gives different results"):
        check_parity(model, PROBES)


@pytest.mark.parametrize(
    "fault",
    [RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError],
    ids=lambda f: f.__name__,
)
def test_a_model_that_does_not_take_a_tree_is_refused_with_the_reason(fault):
    model = tiny_model("llama")

    def refuse(module, positional, arguments):
        if "tree_plan" in arguments:
            raise fault("no trees here")
        return positional, arguments

    model.module.register_forward_pre_hook(refuse, with_kwargs=True)
    with pytest.raises(
        ModelError, match=r"LlamaForCausalLM cannot run over prefix trees \('?no trees here'?\)"
    ):
        check_parity(model, PROBES)


# A mistake in a mask is as large as a mistake in practice only where weights are not as small as fresh ones.
SHAPE = {
    "vocab_size": 131,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.25,
}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 8,
    "first_k_dense_replace": 2,
}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (StableLmConfig(**SHAPE, intermediate_size=96), "does not pass the tree to its attention"),
        (
            Gemma2Config(**SHAPE, intermediate_size=96, num_key_value_heads=2, head_dim=16),
            "soft caps and sinks of the attention are not supported",
        ),
        (
            DeepseekV3Config(**SHAPE, **LATENT, intermediate_size=96, num_key_value_heads=4),
            "cannot run over",
        ),
        (
            BloomConfig(vocab_size=131, hidden_size=64, n_layer=2, n_head=4, initializer_range=0.25),
            "cannot be replaced",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_families_that_cannot_be_run_over_trees_are_refused(config, reason):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    with pytest.raises(ModelError, match=reason):
        check_parity(CausalModel(module, CPU, torch.float32), PROBES)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, 256),
        ({"sliding_window": None}, 256),
        ({"sliding_window": 300}, 256),
        ({"sliding_window": 40}, 40),
        ({"sliding_window": 40, "use_sliding_window": True}, 40),
        ({"sliding_window": 40, "use_sliding_window": False}, 256),
    ],
)
def test_no_example_and_no_answer_may_pass_the_window(tmp_path, window, expected):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 256, **window}))
    assert context_length(tmp_path) == expected


@pytest.mark.parametrize(
    ("rotary", "expected"),
    [
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 64}, 64),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 64}, 64),
        ({"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 64}}, 64),
        ({"rope_parameters": {"rope_type": "llama3", "original_max_position_embeddings": 64}}, 256),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, 256),
        ({"rope_scaling": None, "original_max_position_embeddings": 64}, 256),
    ],
)
def test_no_row_may_be_so_long_that_it_moves_the_positions_of_others(tmp_path, rotary, expected):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 256, **rotary}))
    assert context_length(tmp_path) == expected


def test_a_row_beyond_it_moves_the_positions_of_a_shorter_one():
    """Why: the same tokens get other log-probabilities beside a longer row."""
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    rotary = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 64, **factors}
    model = tiny_model("llama", rope_parameters=rotary)
    model.module.set_attn_implementation("eager")
    short, within, beyond = (torch.arange(length)[None] % 100 for length in (10, 60, 70))

    def beside(other):
        rows = torch.cat([torch.nn.functional.pad(short, (0, other.shape[1] - 10)), other])
        return model.module(rows).logits[0, :10]

    alone = model.module(short).logits[0]
    assert (beside(within) - alone).abs().max() < 1e-5  # rotations are float32
    assert (beside(beyond) - alone).abs().max() > 1e-2


def test_within_its_window_a_model_is_exact_and_beyond_it_is_not():
    config = MistralConfig(
        vocab_size=131,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.25,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(
            config, attn_implementation=ATTENTION, dtype=torch.float64
        ).eval()
    model = CausalModel(module, CPU, torch.float64)

    def difference(tokens: int) -> float:
        example = Example(0, tuple(range(tokens)), prompt_tokens=2, supervised=tokens - 2)
        with torch.no_grad():
            found = target_log_probs(model, merge([example]))
            return (found - log_probs_token_by_token(module, example)).abs().max().item()

    # The last token is only predicted, so one more than the window would do too.
    assert difference(8) < 1e-5
    assert difference(9) < 1e-5
    assert difference(10) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_check_leaves_the_model_as_it_was(family):
    model = tiny_model(family)
    before = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    check_parity(model, PROBES)
    assert model.module.config._attn_implementation == ATTENTION
    assert all(torch.equal(before[name], weight) for name, weight in model.module.state_dict().items())
    assert all(parameter.grad is None for parameter in model.module.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_of_the_check_is_the_model_token_by_token(family):
    model = tiny_model(family)
    examples = ragged_examples(12)
    with torch.no_grad(), own_attention(model.module):
        found = one_at_a_time_log_probs(model, examples)
        model.module.set_attn_implementation(ATTENTION)
        expected = [log_probs_token_by_token(model.module, example) for example in examples]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
