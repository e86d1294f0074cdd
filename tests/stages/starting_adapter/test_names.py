"""How a run's adapter is named, and what the recipe and the command line show of its settings."""

from dataclasses import replace
from unittest.mock import ANY

import pytest

from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_path
from tutelage.stages.starting_adapter import find_adapter


@pytest.mark.parametrize("named", ["first/model", "first/model/", "./first", "first/export/../model"])
def test_parts_of_a_run_are_named_from_any_folder(home, first, monkeypatch, named):
    (home / "first" / "export").mkdir(exist_ok=True)
    monkeypatch.chdir(home)
    assert find_adapter(named) == replace(find_adapter(str(first.folder)), name=named, folder=ANY)


@pytest.mark.parametrize("inside", ["first", "first/model", "first/checkpoints/step-000006"])
def test_a_run_is_named_from_inside(home, first, monkeypatch, inside):
    monkeypatch.chdir(home / inside)
    found = find_adapter(".")
    assert found.base_sha256 == find_adapter(str(first.folder)).base_sha256 is not None


def test_dry_run_says_what_is_taken_from_the_adapter_and_estimates(home, first, command):
    words = ["run", "prefer", "--data", home / "pairs.json", "--output", home / "dry"]
    ended = command(
        *words, "--set", f"model.adapter={first.folder}", "--set", "training.device=cpu", "--dry-run"
    )
    assert ended.code == 0, ended.err
    shown = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert any(line.startswith("adapter.r 3 model.adapter") for line in shown), ended.out
    assert any(line.startswith("model.name_or_path") and line.endswith("model.adapter") for line in shown)
    assert not (home / "dry").exists()


def test_the_adapter_of_an_unknown_run_is_refused_before_rows_are_read(home, command):
    ended = command(
        "run", "--data", home / "pairs.json", "--output", home / "dry", "--set", "model.adapter=no/run"
    )
    assert ended.code == 2
    assert "error[model.adapter_not_found]" in ended.err
    ended = command("run", "--data", home / "pairs.json", "--output", home / "dry", "--set", "adapter=no/run")
    assert ended.code == 2
    assert "model.adapter" in ended.err, "the table [adapter] has the same name"


def test_a_recipe_file_gives_way_to_the_adapter_and_the_command_line_does_not(home, first, command):
    recipe = shipped_path("laptop")
    before = load(recipe, {}, []).recipe
    assert (before.adapter.r, before.adapter.lora_alpha) != (3, 5)
    words = ["run", recipe, "--data", home / "pairs.json", "--output", home / "dry", "--dry-run"]
    words += ["--set", f"model.adapter={first.folder}", "--set", f"model.name_or_path={home / 'tiny'}"]
    words += ["--set", "training.objective=dpo"]
    ended = command(*words)
    assert ended.code == 0, ended.err
    shown = [" ".join(line.split()) for line in ended.out.splitlines()]
    for line in ("adapter.r 3 model.adapter", "adapter.lora_alpha 5 model.adapter"):
        assert any(one.startswith(line) for one in shown), ended.out
    assert any("adapter.lora_dropout 0.05 laptop.toml" in one for one in shown), ended.out
    ended = command(*words, "--set", "adapter.r=16")
    assert "error[settings.adapter_differs]" in ended.err
    assert "adapter.lora_alpha" not in ended.err
