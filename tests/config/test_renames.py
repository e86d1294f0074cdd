"""Old names of settings, values and options end with an error that names the new one."""

import pytest
from support.command_line import CommandLine

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load, setting_named, walk
from tutelage.config.renames import OPTIONS, SETTINGS, VALUES
from tutelage.errors import RecipeError

SPLIT, GENERATE = (("data", name, "a.json", "b.json") for name in ("split", "generate"))
# Options that `run` does not have.
COMMANDS = {
    "--train-size": SPLIT,
    "--test-size": SPLIT,
    "--max-requests": GENERATE,
    "--rows-per-request": GENERATE,
}
KNOWN = {name for name, _, _ in walk(Recipe())}


def test_every_new_name_is_a_setting_and_no_old_one_is():
    assert set(SETTINGS.values()) | set(VALUES) <= KNOWN
    assert not set(SETTINGS) & KNOWN


@pytest.mark.parametrize(("old", "new"), SETTINGS.items())
def test_a_setting_by_its_old_name_names_the_new_one(tmp_path, old, new):
    section, key = old.split(".")
    (tmp_path / "old.toml").write_text(f"[{section}]\n{key} = 1\n")
    for ask in (
        lambda: load(tmp_path / "old.toml", {}, []),
        lambda: load(None, {}, [f"{old}=1"]),
        lambda: setting_named(key),
    ):
        with pytest.raises(RecipeError) as fault:
            ask()
        assert fault.value.code == "settings.renamed"
        assert f"was renamed to {new}" in str(fault.value)


def test_the_map_of_a_set_by_its_old_name_names_the_new_one():
    with pytest.raises(RecipeError, match=r"evaluation\.sets\.arith\.column_map") as fault:
        load(
            None,
            {},
            [
                "evaluation.sets.arith.source=a.json",
                "evaluation.sets.arith.metric=numeric",
                "evaluation.sets.arith.map={a = 'b'}",
            ],
        )
    assert fault.value.code == "settings.renamed"


@pytest.mark.parametrize(("name", "old"), [(name, old) for name, values in VALUES.items() for old in values])
def test_an_old_value_names_the_new_one(name, old):
    with pytest.raises(RecipeError) as fault:
        load(None, {}, [f"{name}={old}"])
    assert fault.value.code == "settings.invalid_value"
    assert f"Did you mean {VALUES[name][old]!r}?" in str(fault.value) or VALUES[name][old] in str(fault.value)


@pytest.mark.parametrize(("old", "new"), OPTIONS.items())
def test_an_old_option_names_the_new_one(capsys, old, new):
    command = COMMANDS.get(new, ("run", "--data", "a.json"))
    for given in ([old, "0.5"], [f"{old}=0.5"]):
        ended = CommandLine(capsys)(*command, *given)
        assert ended.code == 2
        assert ended.err.startswith("error[cli.option_renamed]") and new in ended.err
