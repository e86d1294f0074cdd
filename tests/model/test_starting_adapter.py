"""An adapter that is trained further: what is read of its folder, what is refused, and that its outputs are its own."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from support.tiny_models import CPU, FAMILIES, log_probs_token_by_token, ragged_examples, tiny_model

from tutelage.config.recipe import Tuning
from tutelage.errors import ModelError
from tutelage.model.adapters import load_adapter
from tutelage.model.assembly import OWN_ATTENTION, load_base, load_for_training, load_tuned, save_tuned
from tutelage.model.forward import target_log_probs
from tutelage.model.loading import load_model
from tutelage.model.sources import ModelSource, check_files_unchanged
from tutelage.model.starting_adapter import read_adapter
from tutelage.system.storage import replace_folder
from tutelage.tree.prefix_tree import merge

EXAMPLES = ragged_examples(12)
ROUNDING = 1e-4  # nats, of float32 on weights far larger than in practice


def write_base(folder, family="llama", seed=0):
    tiny_model(family, dtype=torch.float32, seed=seed).module.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def plain(folder):
    return load_model(folder, dtype=torch.float32, device=CPU, attention=OWN_ATTENTION)


def write_adapter(base, folder, config=None, *, seed=2):
    """Write an adapter that peft alone made, as after some training: its second matrices are not 0 any more."""
    adapted = get_peft_model(
        plain(base), config or LoraConfig(r=3, lora_alpha=7, target_modules="all-linear")
    )
    generator = torch.Generator().manual_seed(seed)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            weight.data.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(folder)
    return folder


def source_of(base, adapter=None):
    read = read_adapter(adapter, adapter.name) if adapter else None
    return ModelSource(base, "a-base", "0" * 64, None, adapter=read)


def of_peft(base, adapter):
    """What plain peft gives the supervised tokens on plain transformers, one token at a time."""
    module = PeftModel.from_pretrained(plain(base), str(adapter)).eval() if adapter else plain(base).eval()
    with torch.no_grad():
        return torch.cat([log_probs_token_by_token(module, example) for example in EXAMPLES])


def of_model(model):
    model.module.eval()
    with torch.no_grad():
        found = [target_log_probs(model, merge([example])) for example in EXAMPLES]
    return torch.cat(found)


def opened(source, settings=None):
    tuning = Tuning(adapter=settings or source.adapter.settings)
    return load_for_training(source, tuning, CPU, torch.float32, seed=9, probes=EXAMPLES[:2])


@pytest.mark.parametrize("family", FAMILIES)
def test_before_the_first_step_the_model_is_the_given_adapter_and_so_is_the_base_of_the_evaluation(
    tmp_path, family
):
    base = write_base(tmp_path / "base", family)
    adapter = write_adapter(base, tmp_path / "adapter")
    expected = of_peft(base, adapter)
    source = source_of(base, adapter)
    start = of_model(opened(source))
    compared_with = of_model(load_base(source, CPU, torch.float32))
    assert (start - expected).abs().max() < ROUNDING
    assert (compared_with - expected).abs().max() < ROUNDING
    raw = of_model(load_base(source_of(base), CPU, torch.float32))
    assert (raw - expected).abs().max() > 0.1, "the raw base would pass as well"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tuned_adapter_takes_the_place_of_the_one_it_started_from(tmp_path, family):
    base = write_base(tmp_path / "base", family)
    source = source_of(base, write_adapter(base, tmp_path / "adapter"))
    model = opened(source)
    generator = torch.Generator().manual_seed(3)
    for weight in model.module.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    save_tuned(model, tmp_path / "tuned", Tuning(adapter=source.adapter.settings), base="a-base")
    expected = of_peft(base, tmp_path / "tuned")  # one adapter on the original base is the whole model
    start = load_base(source, CPU, torch.float32)
    before = of_model(start)
    tuned = of_model(load_tuned(start, tmp_path / "tuned", Tuning(adapter=source.adapter.settings)))
    assert (tuned - expected).abs().max() < ROUNDING
    assert (before - expected).abs().max() > 0.1, "the adapter that it started from would pass as well"


def test_the_trained_weights_are_the_given_ones_to_the_bit_whatever_the_seed(tmp_path):
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter")
    source = source_of(base, adapter)
    save_tuned(opened(source), tmp_path / "untrained", Tuning(adapter=source.adapter.settings), base="a-base")
    given, kept = (
        load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "untrained")
    )
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_weights_in_half_precision_are_trained_in_float32_with_the_same_values(tmp_path):
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    halves = {name: weight.bfloat16() for name, weight in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    source = source_of(base, adapter)
    save_tuned(opened(source), tmp_path / "untrained", Tuning(adapter=source.adapter.settings), base="a-base")
    kept = load_file(tmp_path / "untrained" / "adapter_model.safetensors")
    assert all(torch.equal(kept[name], half.float()) for name, half in halves.items())
    assert {weight.dtype for weight in kept.values()} == {torch.float32}


def test_an_adapter_of_peft_tells_its_own_rank_alpha_and_targets(tmp_path):
    base = write_base(tmp_path / "base")
    config = LoraConfig(r=5, lora_alpha=20, lora_dropout=0.1, target_modules=["q_proj", "v_proj"])
    read = read_adapter(write_adapter(base, tmp_path / "adapter", config), "named")
    found = read.settings
    assert (found.r, found.lora_alpha, sorted(found.target_modules)) == (5, 20, ["q_proj", "v_proj"])
    assert found.lora_dropout == 0  # which is about a training, and this one is over
    assert (read.base_sha256, read.prompt) == (None, None)


@pytest.mark.parametrize(
    "told",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"modules_to_save": ["lm_head"]},
        {"bias": "all"},
        {"rank_pattern": {"q_proj": 8}},
        {"alpha_pattern": {"q_proj": 8}},
        {"layers_to_transform": [0]},
        {"layers_to_transform": 0},
        {"init_lora_weights": 1},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "eva"},
        {"lora_bias": True},
        {"target_parameters": ["weight"]},
        {"trainable_token_indices": [1]},
        {"layer_replication": [[0, 1]]},
        {"of_a_later_version": {"does": "something"}},
    ],
    ids=lambda told: next(iter(told)),
)
def test_what_is_more_than_plain_lora_is_refused_by_the_name_of_its_field(tmp_path, told):
    adapter = write_adapter(write_base(tmp_path / "base"), tmp_path / "adapter")
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    with pytest.raises(ModelError, match=next(iter(told))) as refused:
        read_adapter(adapter, "named")
    assert refused.value.code == "model.adapter_not_supported"


def test_other_kinds_of_adapters_are_refused(tmp_path):
    config = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    adapter = write_adapter(write_base(tmp_path / "base"), tmp_path / "adapter", config)
    with pytest.raises(ModelError, match="IA3") as refused:
        read_adapter(adapter, "named")
    assert refused.value.code == "model.adapter_not_lora"


def break_off(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def change_rank(adapter):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"r": "three"}))


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda adapter: (adapter / "adapter_model.safetensors").unlink(), "model.adapter_file_missing"),
        (lambda adapter: (adapter / "adapter_config.json").unlink(), "model.adapter_file_missing"),
        (break_off, "model.adapter_damaged"),
        (change_rank, "model.adapter_damaged"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tmp_path, damage, code):
    adapter = write_adapter(write_base(tmp_path / "base"), tmp_path / "adapter")
    damage(adapter)
    with pytest.raises(ModelError) as refused:
        read_adapter(adapter, "named")
    assert refused.value.code == code


def test_a_folder_that_tutelage_wrote_is_held_against_its_manifest(tmp_path):
    base = write_base(tmp_path / "base")
    replace_folder(tmp_path / "adapter", lambda staged: write_adapter(base, staged))
    read_adapter(tmp_path / "adapter", "named")
    other = write_adapter(base, tmp_path / "other", seed=3) / "adapter_model.safetensors"
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(other.read_bytes())
    with pytest.raises(ModelError, match=r"does not match its checksum in manifest\.json") as refused:
        read_adapter(tmp_path / "adapter", "named")
    assert refused.value.code == "model.adapter_damaged"


def test_an_adapter_that_changed_after_a_server_started_is_refused(tmp_path):
    base = write_base(tmp_path / "base")
    source = source_of(base, write_adapter(base, tmp_path / "adapter"))
    check_files_unchanged(
        ModelSource(base, "a-base", "0" * 64, None, is_checked=False, adapter=source.adapter)
    )
    write_adapter(base, tmp_path / "adapter", seed=3)
    with pytest.raises(ModelError) as refused:
        check_files_unchanged(source)
    assert refused.value.code == "model.adapter_damaged"


@pytest.mark.parametrize("load_it", [opened, lambda source: load_base(source, CPU, torch.float32)])
def test_an_adapter_of_other_layers_or_shapes_is_refused_when_the_model_is_there(tmp_path, load_it):
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    first = next(name for name in weights if "lora_A" in name)
    for odd in (
        {name: weight for name, weight in weights.items() if name != first},
        weights | {first: weights[first][:, :-1].contiguous()},
    ):
        save_file(odd, path, metadata={"format": "pt"})
        with pytest.raises(ModelError, match="names or shapes") as refused:
            load_it(source_of(base, adapter))
        assert refused.value.code == "model.adapter_does_not_fit"


def test_load_adapter_refuses_to_exchange_what_does_not_fit(tmp_path):
    base = write_base(tmp_path / "base")
    source = source_of(base, write_adapter(base, tmp_path / "adapter"))
    other = write_adapter(base, tmp_path / "other", LoraConfig(r=4, target_modules="all-linear"))
    with pytest.raises(ModelError) as refused:
        load_adapter(load_base(source, CPU, torch.float32).module, other)
    assert refused.value.code == "run.model_damaged"
