"""A model is tuned without its own dropout, and written it comes back as it was, without a word on the terminal."""

import pytest
import torch
from support.tiny_models import CPU, ragged_examples, tiny_model, weights_of
from transformers import AutoModelForCausalLM, OPTConfig, Starcoder2Config

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.errors import ModelError
from tutelage.model.assembly import check_tuned, load_for_training, load_tuned, save_tuned, without_dropout
from tutelage.model.decoder_layers import fuse_layers
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.model.sources import ModelSource
from tutelage.model.tree_attention import ATTENTION
from tutelage.tree.prefix_tree import merge

WHOLE = Tuning("full")


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_a_whole_model_is_saved_in_silence_and_comes_back_bitwise_the_same(tmp_path, family, capfd):
    model = tiny_model(family, dtype=torch.float32)
    save_tuned(model, tmp_path, WHOLE, base="a-base")
    (tmp_path / "tokenizer.json").write_text("{}")  # the tokenizer is put beside the weights at the end
    base = tiny_model(family, seed=1, dtype=torch.float32)
    loaded = load_tuned(base, tmp_path, WHOLE)
    assert capfd.readouterr() == ("", "")
    saved = weights_of(model.module)
    assert all(torch.equal(weight, saved[name]) for name, weight in loaded.module.named_parameters())
    fuse_layers(model.module.requires_grad_(False))  # as those are that come from a folder
    tree = merge(ragged_examples(8))
    with torch.no_grad():
        assert torch.equal(target_log_probs(loaded, tree), target_log_probs(model, tree))
        assert not torch.equal(target_log_probs(loaded, tree), target_log_probs(base, tree))
    assert loaded.device == CPU
    assert ATTENTION not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("damage", ["cut", "lost"])
def test_a_tuned_model_that_is_not_whole_is_told_with_the_way_to_train_it_again(tmp_path, damage):
    folder = tmp_path / "run" / "model"
    model = tiny_model("llama", dtype=torch.float32)
    save_tuned(model, folder, WHOLE, base="a-base")
    (folder / "tokenizer.json").write_text("{}")
    check_tuned(folder, WHOLE)
    weights = folder / "model.safetensors"
    if damage == "lost":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1])
    for refuse in (lambda: check_tuned(folder, WHOLE), lambda: load_tuned(model, folder, WHOLE)):
        with pytest.raises(ModelError, match=f"`tutelage train {tmp_path / 'run'} --overwrite`"):
            refuse()


DROPOUTS = [
    ("gpt2", "resid_pdrop"),
    ("gpt2", "embd_pdrop"),
    ("gpt2", "attn_pdrop"),
    ("llama", "attention_dropout"),
    ("qwen2", "attention_dropout"),
]


def in_training(model: CausalModel) -> torch.Tensor:
    model.module.train()
    with torch.no_grad():
        return target_log_probs(model, merge(ragged_examples(12)))


def in_evaluation(model: CausalModel) -> torch.Tensor:
    model.module.eval()
    with torch.no_grad():
        return target_log_probs(model, merge(ragged_examples(12)))


def has_dropout(model: CausalModel) -> bool:
    """Whether training mode changes anything; attention over a tree takes no dropout at all."""
    try:
        return not torch.equal(in_training(model), in_evaluation(model))
    except AssertionError as refusal:
        return "without its own dropout" in str(refusal)


@pytest.mark.parametrize(("family", "name"), DROPOUTS)
def test_every_dropout_of_a_base_model_is_turned_off(family, name):
    model = tiny_model(family, **{name: 0.3})
    assert has_dropout(model)
    without_dropout(model.module)
    assert not has_dropout(model)
    assert torch.equal(in_training(model), in_evaluation(tiny_model(family)))


@pytest.mark.parametrize(
    "config",
    [
        OPTConfig(
            vocab_size=131,
            hidden_size=64,
            word_embed_proj_dim=64,
            ffn_dim=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            dropout=0.3,
            attention_dropout=0.3,
            layerdrop=0.3,
        ),
        Starcoder2Config(
            vocab_size=131,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            residual_dropout=0.3,
            embedding_dropout=0.3,
            attention_dropout=0.3,
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_so_are_those_that_layers_hand_to_functions(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    model = CausalModel(module, CPU, torch.float32)
    assert has_dropout(model)
    without_dropout(module)
    assert not has_dropout(model)


def opened_for_training(base: CausalModel, folder, tuning: Tuning) -> CausalModel:
    """Write the base and open it as a stage does."""
    save_tuned(base, folder, WHOLE, base="a-base")
    (folder / "tokenizer.json").write_text("{}")
    source = ModelSource(folder, "tiny", fingerprint="", license=None)
    return load_for_training(source, tuning, CPU, torch.float32, seed=0, probes=ragged_examples(8)[:2])


@pytest.mark.parametrize(("family", "name"), DROPOUTS)
@pytest.mark.parametrize("tuning", [WHOLE, Tuning(adapter=AdapterSettings(r=4))], ids=["whole", "lora"])
def test_a_model_opens_for_training_without_its_own_dropout(tmp_path, family, name, tuning):
    model = opened_for_training(tiny_model(family, dtype=torch.float32, **{name: 0.3}), tmp_path, tuning)
    assert getattr(model.module.config, name) == 0.3
    assert not has_dropout(model)


def test_dropout_before_the_adapter_stays(tmp_path):
    tuning = Tuning(adapter=AdapterSettings(r=4, lora_dropout=0.3))
    model = opened_for_training(tiny_model("gpt2", dtype=torch.float32), tmp_path, tuning)
    assert not has_dropout(model)  # a fresh adapter adds nothing, whatever is dropped before it
    for name, parameter in model.module.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.05)
    assert has_dropout(model)
    assert {layer.p for layer in model.module.modules() if isinstance(layer, torch.nn.Dropout)} == {0.0, 0.3}
