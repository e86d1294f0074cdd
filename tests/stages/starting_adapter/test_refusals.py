"""What cannot be gone on from is refused before rows are prepared, with the setting or the command that helps."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.further_runs import finetune, weights_of
from support.rows import write_rows
from support.tiny_tokenizer import write_tiny_model

import tutelage
from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.errors import ModelError, RecipeError, RunFolderError
from tutelage.model.sources import HubModel, ModelSource
from tutelage.run.folder import read_json
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter
from tutelage.stages.run_folders import new_run


def refused(kind, home, name="refused", **settings):
    with pytest.raises(kind) as fault:
        finetune(home, name, **{"max_steps": 1, **settings})
    assert not (home / name / "data").exists(), "nothing is prepared for a run that cannot begin"
    return fault.value


def test_another_base_model_is_refused_with_the_setting_that_names_the_right_one(home, first, tmp_path):
    write_tiny_model(tmp_path / "other", context=256)
    weights = tmp_path / "other" / "model.safetensors"
    content = load_file(weights)
    name = next(iter(content))
    save_file(content | {name: content[name] + 1}, weights, metadata={"format": "pt"})
    fault = refused(ModelError, home, adapter=first.folder, name_or_path=str(tmp_path / "other"))
    assert fault.code == "model.adapter_of_other_base"
    assert f'name_or_path="{home / "tiny"}"' in str(fault), "as a keyword"


def test_settings_of_the_adapter_that_are_set_otherwise_are_refused_by_name(home, first):
    fault = refused(RecipeError, home, adapter=first.folder, r=8, target_modules=["q_proj"])
    assert fault.code == "settings.adapter_differs"
    assert all(told in str(fault) for told in ("adapter.r is 8", "adapter.target_modules is ['q_proj']"))
    same = finetune(home, "same", adapter=first.folder, r=3, target_modules="all-linear", max_steps=1)
    assert same.recipe.adapter.r == 3


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"adapter": "nowhere"}, "model.adapter_not_found"),
        ({"method": "full"}, "settings.adapter_needs_lora"),
        ({"objective": "classification"}, "settings.not_for_objective"),
    ],
)
def test_what_cannot_go_on_from_an_adapter_is_refused(home, first, settings, code):
    assert refused((ModelError, RecipeError), home, **{"adapter": first.folder, **settings}).code == code


def test_a_run_that_trained_every_weight_has_no_adapter(home):
    whole = finetune(
        home, "whole", data="rows.json", name_or_path=str(home / "tiny"), method="full", max_steps=1
    )
    fault = refused(ModelError, home, adapter=whole.folder)
    assert fault.code == "model.adapter_not_lora"
    assert f"tutelage export {whole.folder} --to hf" in str(fault)


def test_a_classification_is_refused(home):
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(60)]
    write_rows(home / "labels.json", rows)
    settings = {"dtype": "float32", "objective": "classification", "max_steps": 1, "r": 2}
    labels = tutelage.finetune(
        home / "labels.json", output=home / "labels", name_or_path=str(home / "tiny"), **settings
    )
    assert refused(ModelError, home, adapter=labels.folder).code == "model.adapter_of_classification"


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(home, first):
    folder = home / "unfinished"
    shutil.copytree(first.folder, folder)
    shutil.rmtree(folder / "model")
    fault = refused(ModelError, home, adapter=folder)
    assert fault.code == "model.adapter_run_unfinished"
    assert f"tutelage train {folder}" in str(fault)
    assert f'adapter="{folder}@6"' in str(fault), "as a keyword"
    assert refused(RunFolderError, home, adapter=f"{folder}@5").code == "run.no_such_checkpoint"


def test_a_run_cannot_go_on_from_itself(home, first):
    kept = weights_of(first)
    with pytest.raises(ModelError) as fault:
        finetune(home, "first", adapter=first.folder, overwrite=True)
    assert fault.value.code == "model.adapter_of_this_run"
    assert all(torch.equal(weight, kept[name]) for name, weight in weights_of(first).items())


def bare_folder(first, place, **told):
    """Write an adapter as a stranger has it: in PEFT format, and nothing beside it."""
    place.mkdir()
    shutil.copy(first.folder / "model" / "adapter_model.safetensors", place)
    config = read_json(first.folder / "model" / "adapter_config.json")
    (place / "adapter_config.json").write_text(json.dumps(config | told))
    return place


def test_a_folder_that_names_its_base_is_not_put_on_the_default_model(home, first, tmp_path):
    folder = bare_folder(first, tmp_path / "bare", base_model_name_or_path="somebody/large-7b")
    fault = refused(ModelError, home, adapter=folder)
    assert fault.code == "model.adapter_base_not_given"
    assert 'name_or_path="somebody/large-7b"' in str(fault), "as a keyword"
    default = bare_folder(first, tmp_path / "default", base_model_name_or_path=DEFAULT_MODEL)
    _, loaded = new_run(None, {"--set model.adapter": str(default)}, root=tmp_path / "new")
    assert loaded.recipe.model.name_or_path == DEFAULT_MODEL


@pytest.fixture
def hub_model(home, monkeypatch):
    """A model that is said to be owner/tiny of the hub."""
    there = ModelSource(home / "tiny", "owner/tiny", "0" * 64, None, original=HubModel("owner/tiny", None))
    monkeypatch.setattr("tutelage.model.sources.locate_model", lambda *_, **__: there)
    return there


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("somebody/large-7b", "model.adapter_of_other_hub_model"),
        ("Owner/Tiny@main", "model.adapter_base_unknown"),
        ("/home/of/a/stranger", "model.adapter_base_unknown"),
    ],
)
def test_another_hub_model_than_the_folder_names_is_warned_of(first, tmp_path, hub_model, base, code):
    folder = bare_folder(first, tmp_path / "bare", base_model_name_or_path=base)
    settings = {"--set model.adapter": str(folder), "--set model.name_or_path": hub_model.name}
    _, loaded = new_run(None, settings, root=tmp_path / "new")
    events = []
    Inputs(loaded, Reporter(events.append)).note_about_adapter()
    assert [event.code for event in events if event.event == "message"] == [code]
