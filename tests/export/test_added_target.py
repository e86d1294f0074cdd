"""An export target that stands outside of the program is made, verified and published once it is named in the table."""

import pytest
import torch
from safetensors.torch import load_file
from support import plain_target
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.api import Run
from tutelage.cli.main import main
from tutelage.config.extensions import EXPORT_TARGETS, TargetEntry
from tutelage.errors import ExportError, RecipeError
from tutelage.export.targets import load_target
from tutelage.run.folder import ExportFolder, RunFolder, read_json
from tutelage.run.lines import read_json_lines


@pytest.fixture
def registered(monkeypatch, few_prompts, in_this_process):
    """Make the one entry by which the program finds it, and compare on few prompts."""
    monkeypatch.setitem(EXPORT_TARGETS, "plain", TargetEntry("support.plain_target", "plain weights"))
    yield
    load_target.cache_clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training of the tiny model, beside its base."""
    place = tmp_path_factory.mktemp("added")
    write_rows(place / "my.json", alpaca_values(40))
    write_tiny_model(place / "tiny")
    words = ["--set", f"model.name_or_path={place / 'tiny'}", "--set", "training.max_steps=2"]
    words += ["--set", "training.dtype=float32", "--set", "training.sample_prompts=0", "--set", "adapter.r=2"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TUTELAGE_CACHE", str(place / "cache"))
        for verb in (
            ["prepare", "--data", place / "my.json", "--output", place / "run"],
            ["train", place / "run"],
        ):
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in (*verb, *words)])
            assert not left.value.code
    return place


@pytest.fixture
def exports(trained, monkeypatch, tmp_path):
    """Export the run into a folder of the test, as a program does."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return lambda **options: Run(trained / "run").export("plain", output=tmp_path / "out", **options)


@pytest.mark.usefixtures("registered")
def test_an_added_target_holds_the_base_with_what_was_trained(trained, exports, tmp_path):
    exported = exports()
    found = load_file(tmp_path / "out" / "plain" / "weights.safetensors")
    base = load_file(trained / "tiny" / "model.safetensors")
    adapter = load_file(trained / "run" / "model" / "adapter_model.safetensors")
    settings = read_json(trained / "run" / "model" / "adapter_config.json")
    name = "model.layers.0.self_attn.q_proj"
    up, down = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "BA")
    expected = base[f"{name}.weight"] + settings["lora_alpha"] / settings["r"] * up @ down
    assert torch.allclose(found[f"{name}.weight"], expected, atol=1e-6)
    assert not torch.allclose(found[f"{name}.weight"], base[f"{name}.weight"], atol=1e-6), "the base alone"
    assert read_json(tmp_path / "out" / "plain" / "weights.json")[f"{name}.weight"] == [
        *expected.shape,
        "torch.float32",
    ]
    proof = read_json(ExportFolder(tmp_path / "out").verification)["plain"]
    assert (proof["format"], proof["answers_equal"], exported.target) == ("f32", 3, "plain")
    assert "safetensors: `load_file(" in (tmp_path / "out" / "plain" / "README.md").read_text()


@pytest.mark.usefixtures("registered")
def test_one_that_writes_other_weights_is_not_published(exports, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(plain_target, "TARGET", plain_target.BROKEN)
    with pytest.raises(ExportError) as refused:
        exports()
    assert refused.value.code == "export.not_the_trained_model"
    assert not (tmp_path / "out" / "plain").exists()
    last = read_json_lines(RunFolder(trained / "run").events)[-1]
    assert (last["event"], last["stage"], last["code"]) == ("stage_failed", "export", refused.value.code)


@pytest.mark.usefixtures("registered")
def test_a_target_that_is_not_quantized_refuses_a_quantization(exports):
    with pytest.raises(RecipeError) as refused:
        exports(quantization="q8_0")
    assert refused.value.code == "cli.option_needs_another"


def test_a_target_that_nobody_registered_is_refused(exports):
    with pytest.raises(RecipeError, match="Unknown target 'plain'. Choose from peft, hf, gguf, ollama"):
        exports()
