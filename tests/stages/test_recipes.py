"""The recipes that ship, called from a program."""

import pytest

from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_recipes
from tutelage.errors import RecipeError, RunFolderError
from tutelage.stages.recipes import copy_recipe, list_recipes, recipe_named


def test_every_recipe_is_listed_with_its_model(capsys):
    found = list_recipes()
    names = [one.name for one in found]
    of_book = [name for name in names if name == "article" or name.startswith("book-")]
    assert names == [*sorted({*names} - {*of_book}), *sorted(of_book)] == list(shipped_recipes())
    assert of_book
    for one in found:
        model = load(recipe_named(one.name).path, {}, []).recipe.model.name_or_path
        assert model.startswith(one.model)
    assert capsys.readouterr() == ("", "")


def test_a_copy_is_the_recipe_and_replaces_nothing_unasked(tmp_path):
    name = next(iter(shipped_recipes()))
    copy = copy_recipe(name, tmp_path)
    assert copy.parent == tmp_path
    assert copy.read_text(encoding="utf-8") == recipe_named(name).text
    with pytest.raises(RunFolderError) as fault:
        copy_recipe(name, copy)
    assert fault.value.code == "cli.output_exists"
    copy.write_text("", encoding="utf-8")
    copy_recipe(name, copy, overwrite=True)
    assert copy.read_text(encoding="utf-8") == recipe_named(name).text


def test_a_name_that_no_recipe_has_is_refused():
    with pytest.raises(RecipeError) as fault:
        recipe_named("nothing-like-it")
    assert fault.value.code == "settings.unknown_recipe"
