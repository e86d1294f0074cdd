import re
import subprocess
import sys

import pytest
import torch
from support.tiny_models import FAMILIES, VOCABULARY, tiny_model
from transformers import MixtralConfig, MixtralForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.errors import ModelError, RecipeError
from tutelage.model.adapters import add_adapter
from tutelage.model.target_modules import check_targets_of_folder
from tutelage.text import patterns

TIED = {"llama": False, "gpt2": True, "qwen2": True}
PROJECTIONS = {"llama": "q_proj", "gpt2": "c_attn", "qwen2": "q_proj"}


@pytest.fixture(scope="module", params=[*FAMILIES, "tied llama", "bare gpt2"])
def folder(request, tmp_path_factory):
    """Give the folder of a tiny model as transformers saves it; a bare one holds the body without its head."""
    kind = request.param.split()[-1]
    module = tiny_model(kind, **({"tie_word_embeddings": True} if "tied" in request.param else {})).module
    place = tmp_path_factory.mktemp("model") / request.param
    (module.base_model if "bare" in request.param else module).save_pretrained(place)
    return place


def refused(folder, targets):
    with pytest.raises(RecipeError) as fault:
        check_targets_of_folder(folder, Tuning(adapter=AdapterSettings(target_modules=targets)))
    return fault.value


def kind_of(folder):
    return folder.name.split()[-1]


def is_tied(folder):
    return "tied" in folder.name or TIED[kind_of(folder)]


def embeddings_of(folder):
    return "wte" if kind_of(folder) == "gpt2" else "embed_tokens"


def test_names_of_the_model_are_accepted(folder):
    name = PROJECTIONS[kind_of(folder)]
    full = f"transformer.h.0.attn.{name}" if name == "c_attn" else f"model.layers.0.self_attn.{name}"
    for targets in ("all-linear", [name], name, [full], rf".*\.{name}", full.replace(".", r"\.")):
        check_targets_of_folder(folder, Tuning(adapter=AdapterSettings(target_modules=targets)))


def test_one_wrong_name_among_right_ones_is_refused_with_the_names_of_the_model(folder):
    name = PROJECTIONS[kind_of(folder)]
    for wrong in ("no_such_layer", "roj", f"x{name}", name.upper(), f"self_attention.{name}"):
        fault = refused(folder, [name, wrong])
        assert fault.code == "settings.target_modules_unknown"
        assert wrong in str(fault)
        assert name in str(fault).split("named")[-1]
    # Peft alone trains what it finds of the list, without a word.
    if kind_of(folder) == "llama":
        assert refused(folder, f".*{name}s").code == "settings.target_modules_unknown"


def test_what_has_no_matrix_is_refused(folder):
    norm, container = ("ln_1", "attn") if kind_of(folder) == "gpt2" else ("input_layernorm", "self_attn")
    for targets in ([norm], [container], rf".*\.({container}|{norm})", f".*{container}.*"):
        assert refused(folder, targets).code == "settings.target_modules_unsuitable"


def test_head_and_embeddings_are_refused_where_they_share_their_weights(folder):
    for name in ("lm_head", embeddings_of(folder)):
        for targets in ([name], [PROJECTIONS[kind_of(folder)], name], f".*{name}"):
            settings = AdapterSettings(target_modules=targets)
            if is_tied(folder):
                assert refused(folder, targets).code == "settings.target_modules_tied"
            else:
                check_targets_of_folder(folder, Tuning(adapter=settings))


def test_the_loaded_model_is_judged_as_its_files_are():
    for kind in FAMILIES:
        for name in ("lm_head", "wte" if kind == "gpt2" else "embed_tokens"):
            settings = AdapterSettings(r=2, target_modules=[name])
            if TIED[kind]:
                with pytest.raises(RecipeError) as fault:
                    add_adapter(tiny_model(kind).module, settings, seed=0)
                assert fault.value.code == "settings.target_modules_tied"
            else:
                add_adapter(tiny_model(kind).module, settings, seed=0)
    with pytest.raises(RecipeError) as fault:
        add_adapter(tiny_model("llama").module, AdapterSettings(target_modules=["q_proj", "none"]), seed=0)
    assert fault.value.code == "settings.target_modules_unknown"


def test_a_matrix_with_as_many_rows_as_the_vocabulary_is_no_embedding(tmp_path):
    module = tiny_model("llama", tie_word_embeddings=True).module
    for layer in module.model.layers:
        layer.mlp.up_proj = torch.nn.Linear(module.config.hidden_size, VOCABULARY)
    module.save_pretrained(tmp_path)
    check_targets_of_folder(tmp_path, Tuning(adapter=AdapterSettings(target_modules=["up_proj"])))
    assert refused(tmp_path, ["embed_tokens"]).code == "settings.target_modules_tied"
    assert refused(tmp_path, ["lm_head"]).code == "settings.target_modules_tied"


def test_a_regular_expression_that_takes_too_long_is_refused_before_and_in_training(folder, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    hangs = "(.|.|..)+[XYZ]"
    assert refused(folder, hangs).code == "settings.target_modules_timeout"
    with pytest.raises(RecipeError) as fault:
        add_adapter(tiny_model(kind_of(folder)).module, AdapterSettings(target_modules=hangs), seed=0)
    assert fault.value.code == "settings.target_modules_timeout"


def test_peft_gets_the_names_that_a_regular_expression_matches(tmp_path):
    def adapted(targets):
        module = add_adapter(tiny_model("llama").module, AdapterSettings(r=2, target_modules=targets), seed=0)
        names = {name.split(".lora_A")[0] for name, _ in module.named_parameters() if ".lora_A" in name}
        return names, module.peft_config["default"].target_modules

    for pattern in (r".*\.0\..*q_proj", r"model\..*_proj"):
        found, given = adapted(pattern)
        assert given == {name.removeprefix("base_model.model.") for name in found}
        names = dict(tiny_model("llama").module.named_modules())
        assert given == {name for name in names if re.fullmatch(pattern, name)}


def test_only_an_adapter_has_targets(folder):
    check_targets_of_folder(folder, Tuning("full", AdapterSettings(target_modules=["none"])))


def test_weights_in_several_files_are_one_model(tmp_path):
    tiny_model("llama").module.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    check_targets_of_folder(
        tmp_path, Tuning(adapter=AdapterSettings(target_modules=["q_proj", "down_proj", "lm_head"]))
    )
    assert refused(tmp_path, ["qproj"]).code == "settings.target_modules_unknown"


def test_a_file_that_holds_no_weights_is_told_by_its_name(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError) as fault:
        check_targets_of_folder(tmp_path, Tuning(adapter=AdapterSettings(target_modules=["q_proj"])))
    assert fault.value.code == "model.file_unreadable"


def test_the_check_imports_no_torch(folder):
    if folder.name != "llama":
        return
    program = f"""
import sys
from pathlib import Path
from tutelage.model.target_modules import check_targets_of_folder
from tutelage.config.recipe import AdapterSettings, Tuning
check_targets_of_folder(Path({str(folder)!r}), Tuning(adapter=AdapterSettings(target_modules=["q_proj"])))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture(scope="module", params=["whole", "bare"])
def mixture(request, tmp_path_factory):
    """Give the folder of a tiny mixture of experts with a shared one; its files hold each expert by itself."""
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    experts = {"num_experts": 2, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 12}
    torch.manual_seed(0)
    module = Qwen2MoeForCausalLM(Qwen2MoeConfig(**sizes, **heads, **experts))
    place = tmp_path_factory.mktemp("mixture")
    (module.base_model if request.param == "bare" else module).save_pretrained(place)
    return place


def test_experts_that_are_loaded_as_one_parameter_are_refused_before_anything_is_prepared(mixture):
    for targets in (
        ["up_proj"],
        ["q_proj", "up_proj"],
        ["gate"],
        ["experts.0.up_proj"],
        ["experts"],
        r".*up_proj",
    ):
        assert refused(mixture, targets).code == "settings.target_modules_unsuitable", targets


def test_modules_beside_the_experts_are_accepted(mixture):
    for targets in (
        ["q_proj", "v_proj"],
        ["shared_expert.up_proj", "shared_expert_gate"],
        r".*\.shared_expert\.up_proj",
        r".*\.q_proj",
    ):
        check_targets_of_folder(mixture, Tuning(adapter=AdapterSettings(target_modules=targets)))
    assert refused(mixture, ["qproj"]).code == "settings.target_modules_unknown"


def test_experts_of_a_family_whose_files_have_other_names_are_refused(tmp_path):
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    config = MixtralConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, num_local_experts=2)
    MixtralForCausalLM(config).save_pretrained(tmp_path)
    for targets in (["w1"], ["q_proj", "w1", "w2", "w3"], ["gate"]):
        assert refused(tmp_path, targets).code == "settings.target_modules_unsuitable", targets
    check_targets_of_folder(tmp_path, Tuning(adapter=AdapterSettings(target_modules=["q_proj"])))
