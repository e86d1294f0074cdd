"""Each verb of a run has the options that it honours, and no other."""

import re
import tomllib

import pytest
from support.rows import alpaca_values, write_rows

OF_A_RUN = {"--target", "--output", "--set", "--skip-checksums", "--debug"}
OF_A_STAGE = {*OF_A_RUN, "--dry-run", "--overwrite"}
OF_TRAINING = {"--method", "--epochs", "--max-steps", "--batch-size", "--learning-rate"}
OF_DATA = {"--data", "--prompt-template", "--split", "--map", "--instruction"}
OF_JUDGES = {"--judge", "--labels", "--fail-if-worse"}
OPTIONS = {
    "run": {*OF_A_STAGE, *OF_TRAINING, *OF_DATA, "--model", *OF_JUDGES, "--new", "--allow-changes", "--quick"},
    "prepare": {*OF_A_STAGE, *OF_TRAINING, *OF_DATA, "--model"},
    "train": {*OF_A_STAGE, *OF_TRAINING, "--allow-changes"},
    "evaluate": {*OF_A_STAGE, *OF_JUDGES, "--checkpoint"},
    "report": {"--run-folder", "--set", "--dry-run", "--debug"},
    "chat": OF_A_RUN,
    "generate": {*OF_A_RUN, "--dry-run", "--instruction", "--input", "--base", "--temperature", "--top-k", "--top-p"}
    | {"--seed"},
    "classify": {*OF_A_RUN, "--dry-run", "--file", "--map", "--threshold"},
    "serve": {*OF_A_RUN, "--dry-run", "--host", "--port", "--at-once", "--engine", "--context"},
    "export": {"--run-folder", "--to", "--quantization", "--output", "--overwrite", "--dry-run"}
    | {"--skip-checksums", "--debug"},
    "verify": {"--run-folder", "--from-step", "--skip-checksums", "--debug"},
}  # fmt: skip


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_lists_the_options_that_it_honours(tutelage, verb):
    shown = tutelage(verb, "--help").out
    # Each option begins a line of the box, behind a star where it is required, and its name by position.
    listed = re.findall(r"^│ (?:\*  | {3})?(?:[A-Z-]+ )?(--[a-z-]+)", shown, flags=re.MULTILINE)
    assert set(listed) == OPTIONS[verb]


GIVEN = {
    "--model": ("tiny", {"model.name_or_path": "tiny"}),
    "--epochs": (3, {"training.num_train_epochs": 3}),
    "--max-steps": (5, {"training.max_steps": 5}),
    "--batch-size": (
        6,
        {"training.per_device_train_batch_size": 6, "training.gradient_accumulation_steps": 1},
    ),
    "--method": ("full", {"training.method": "full"}),
    "--learning-rate": (2e-4, {"training.learning_rate": 2e-4}),
}


def recipe_of(folder):
    tables = tomllib.loads((folder / "recipe.toml").read_text())
    return {
        f"{table}.{name}": value for table, settings in tables.items() for name, value in settings.items()
    }


def test_an_option_of_the_training_is_its_setting(tutelage, workplace, model):
    write_rows(workplace / "my.json", alpaca_values(60))
    (workplace / "own.toml").write_text("[training]\ngradient_accumulation_steps = 4\n")
    given = [str(word) for option, (value, _) in GIVEN.items() for word in (option, value)]
    given[1] = str(model)
    prepared = tutelage("prepare", "own.toml", "--data", "my.json", "--output", "mine", *given)
    assert prepared.code == 0, prepared.err
    found = recipe_of(workplace / "mine")
    expected = {name: value for _, values in GIVEN.values() for name, value in values.items()}
    expected["model.name_or_path"] = str(model)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("option", GIVEN)
def test_an_option_and_its_setting_are_not_given_together(tutelage, workplace, option):
    value, settings = GIVEN[option]
    for name, other in settings.items():
        refused = tutelage("prepare", "--output", "mine", option, value, "--set", f"{name}={other}")
        assert refused.code == 2
        assert "settings.given_twice" in refused.err
    assert not (workplace / "mine").exists()


@pytest.mark.parametrize(
    "words", [("--epochs", 0), ("--batch-size", 0), ("--learning-rate", -1), ("--max-steps", 0)]
)
def test_a_value_out_of_range_is_refused_by_its_option(tutelage, workplace, words):
    refused = tutelage("prepare", "--output", "mine", *words)
    assert refused.code == 2
    assert "settings.invalid_value" in refused.err
    assert words[0] in refused.err


def test_rows_named_by_position_are_not_named_by_a_setting_too(tutelage, workplace):
    refused = tutelage("check", "my.json", "--set", "data.source=other.json")
    assert refused.code == 2
    assert "settings.given_twice" in refused.err
