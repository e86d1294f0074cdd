"""Each name that can be misspelt on the command line is refused with its code and the name that was meant."""

import pytest
from support.rows import write_rows


@pytest.fixture
def place(workplace):
    (workplace / "runs" / "mine").mkdir(parents=True)
    (workplace / "runs" / "mine" / "recipe.toml").touch()
    write_rows(workplace / "my.json", [{"Frage": f"What is {n}?", "Antwort": "It is."} for n in range(40)])
    (workplace / "lora.toml").write_text("[training]\nseed = 1\n")
    return workplace


MAPPED = ["--map", "instruction=Frge", "--map", "output=Antwort"]
MISNAMED = ["--map", "instuction=Frage", "--map", "output=Antwort"]


@pytest.mark.parametrize(
    ("words", "code", "meant"),
    [
        (["trian"], "cli.unknown_command", '"train"'),
        (["data", "convrt"], "cli.unknown_command", '"convert"'),
        (["run", "--dat", "x"], "cli.unknown_option", "--data"),
        (["export", "runs/mine", "--to", "ggfu"], "cli.invalid_value", '"gguf"'),
        (["run", "quikstart"], "settings.recipe_not_found", "quickstart"),
        (["run", "lorra.toml"], "settings.recipe_not_found", "lora.toml"),
        (["recipes", "show", "quikstart"], "settings.unknown_recipe", "quickstart"),
        (["train", "runs/mien"], "run.not_found", "runs/mine"),
        (["train", "mine"], "run.not_found", "runs/mine"),
        (["chat", "mien"], "run.not_found", "runs/mine"),
        (["run", "--data", "mu.json"], "data.not_found", "my.json"),
        (["run", "--data", "my.json", "--set", "data.spilt=group"], "settings.unknown", "data.split"),
        (["run", "--data", "my.json", "--split", "grup"], "settings.invalid_value", "group"),
        (["check", "my.json", *MAPPED], "data.unknown_columns", "'Frage'"),
        (["check", "my.json", *MISNAMED], "data.unknown_map_field", "instruction=Frage"),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(tutelage, place, words, code, meant):
    refused = tutelage(*words)
    assert refused.code == 2
    assert f"error[{code}]" in refused.err
    assert f"Did you mean {meant}?" in refused.err


def test_nothing_is_proposed_for_a_name_that_is_like_none(tutelage, place):
    refused = tutelage("train", "runs/something-else")
    assert (refused.code, "Did you mean" in refused.err) == (2, False)
