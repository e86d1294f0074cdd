from pathlib import Path

import pytest

from tutelage.config.recipe_file import load
from tutelage.errors import RecipeError
from tutelage.text.spelling import did_you_mean, nearest, nearest_path


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("quikstart", "quickstart"),
        ("QUICKSTART", "quickstart"),
        ("clasify", "classify"),
        ("xyz", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(name, meant):
    assert nearest(name, ["chat", "quickstart", "classify"]) == meant


def test_of_names_that_differ_in_case_the_first_is_meant():
    assert nearest("fragee", ["Frage", "frage"]) == "Frage"


def test_what_stands_beside_a_path_is_found(tmp_path):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "mina").touch()
    assert nearest_path(tmp_path / "mien", Path.is_dir) == tmp_path / "mine"
    assert nearest_path(tmp_path / "mien", lambda entry: entry.name == "other") is None
    assert nearest_path(tmp_path / "no" / "mien", Path.is_dir) is None
    assert nearest_path(tmp_path / "a\0b" / "mien", Path.is_dir) is None


def test_a_question_is_asked_only_where_something_was_meant():
    assert did_you_mean("mine") == " Did you mean mine?"
    assert did_you_mean(None) == ""


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("training.learnig_rate=1", "training.learning_rate"),
        ("trainig.seed=1", "[training]"),
        ("data.split=grup", "group"),
        ("data.prompt_template=alpca", "alpaca"),
        ("training.objective=clasification", "classification"),
    ],
)
def test_a_misspelt_setting_or_value_is_told_with_the_one_that_was_meant(assignment, meant):
    with pytest.raises(RecipeError) as fault:
        load(None, {}, [assignment])
    assert fault.value.code in ("settings.unknown", "settings.unknown_table", "settings.invalid_value")
    assert f"Did you mean {meant}?" in str(fault.value)
