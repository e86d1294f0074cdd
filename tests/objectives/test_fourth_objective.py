"""An objective that stands outside of the program goes from its own rows to a report and an export."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import unlikelihood
from support.pages import Page
from support.pairs import preference_values
from support.unlikelihood import evaluation, training

from tutelage.config.extensions import ROW_FORMATS
from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe_file import load
from tutelage.errors import RecipeError
from tutelage.objectives import PACKAGES
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

TUNE = [
    "--set", "training.objective=unlikelihood",
    "--set", "data.format=prompt-unwanted",
    "--set", "training.dtype=float32",
    "--set", "training.max_steps=6",
    "--set", "training.learning_rate=0.02",
    "--set", "training.sample_prompts=1",
    "--set", "adapter.r=2",
    "--set", "data.train_size=0.5",
    "--set", "data.test_size=0.3",
    "--set", "evaluation.max_new_tokens=8",
    "--set", "evaluation.general_text=false",
]  # fmt: skip


@pytest.fixture
def registered(monkeypatch):
    """Make the three entries by which the program finds it."""
    monkeypatch.setitem(OBJECTIVES, "unlikelihood", unlikelihood.INFO)
    monkeypatch.setitem(PACKAGES, "unlikelihood", "support.unlikelihood")
    monkeypatch.setitem(ROW_FORMATS, "prompt-unwanted", "support.unlikelihood.row_format")


@pytest.fixture
def place(workplace):
    rows = [{"prompt": one["prompt"], "unwanted": one["rejected"]} for one in preference_values(60)]
    (workplace / "my.json").write_text(json.dumps(rows))
    return workplace


@pytest.mark.usefixtures("registered", "few_prompts", "in_this_process")
def test_a_fourth_objective_is_prepared_trained_evaluated_reported_and_exported(tutelage, place, model):
    ended = tutelage(
        "run", "--data", "my.json", "--output", "mine", "--set", f"model.name_or_path={model}", *TUNE
    )
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    prepared = read_json(run.preparation)
    assert (prepared["objective"], prepared["formats"]) == ("unlikelihood", {"prompt-unwanted": 60})
    lines = read_json_lines(run.evaluation / evaluation.LINES)
    moved = np.array([one["tuned"] - one["base"] for one in lines])
    found = read_json(run.summary)["evaluation"]
    assert found["figures"]["difference"] == pytest.approx(moved.mean())
    assert found["verdict"] == "better"
    assert (moved < 0).all(), "every unwanted answer became less probable"
    assert found["sentence"] in " ".join(ended.out.split())
    assert "An unwanted token has" in ended.out
    page = Page(run.report.read_text())
    assert "Unwanted answers" in page.text
    assert f"{lines[0]['unwanted']}" in page.text
    assert tutelage("export", "mine", "--to", "hf").code == 0
    assert (run.export / "hf" / "model.safetensors").exists()
    assert tutelage("verify", "mine").code == 0
    of_model = ["--set", f"model.name_or_path={model}"]
    other = ["--data", "my.json", "--output", "other", "--set", "training.seed=5"]
    assert tutelage("run", *other, *of_model, *TUNE).code == 0
    compared = tutelage("compare", "mine", "other")
    assert compared.code == 0, compared.err
    previewed = tutelage("preview", "my.json", *of_model, "--set", "training.objective=unlikelihood")
    assert previewed.code == 0, previewed.err


def test_every_objective_has_a_package_and_an_entry():
    assert list(PACKAGES) == list(OBJECTIVES)


@pytest.mark.usefixtures("registered")
def test_rows_of_another_format_are_refused_before_anything_is_trained(tutelage, place):
    rows = [{"instruction": f"Name {n}.", "output": f"{n}"} for n in range(40)]
    (place / "my.json").write_text(json.dumps(rows))
    ended = tutelage("check", "my.json", "--set", "training.objective=unlikelihood")
    assert ended.code == 2
    assert "data.not_preference" in ended.err


@pytest.mark.parametrize("objective", ["instruction", "dpo"])
def test_a_setting_of_an_objective_is_refused_under_every_other(monkeypatch, objective):
    assert "adapter.lora_dropout" not in OBJECTIVES[objective].inactive
    info = replace(unlikelihood.INFO, settings=("adapter.lora_dropout",))
    monkeypatch.setitem(OBJECTIVES, "unlikelihood", info)
    with pytest.raises(RecipeError) as refused:
        load(None, {}, [f"training.objective={objective}", "adapter.lora_dropout=0.1"])
    assert refused.value.code == "settings.inactive"
    assert info.has_effect("adapter.lora_dropout")


def test_an_objective_that_nobody_registered_is_no_value(tutelage, place):
    ended = tutelage("prepare", "--data", "my.json", "--set", "training.objective=unlikelihood")
    *others, last = (repr(name) for name in OBJECTIVES)
    assert f"{', '.join(others)} or {last}" in ended.err
    assert ended.code != 0


def test_the_loss_is_that_of_the_paper():
    log_probs = torch.tensor([-0.1, -2.0, -5.0], dtype=torch.float64)
    found = training.unlikelihood(
        None, None, [], normalizer=3, statistic=None, log_probs=lambda model, tree: log_probs
    )
    expected = -np.log(1 - np.exp(log_probs.numpy())).mean()
    assert found.loss.item() == pytest.approx(expected, rel=1e-12)
    assert found.loss.item() != pytest.approx(-log_probs.mean().item()), "not the cross-entropy"
