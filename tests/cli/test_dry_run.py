"""A dry run shows what was changed first, and values as people write them."""

import re

import pytest
from support.rows import alpaca_values, write_rows

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load, setting_text

PYTHON = re.compile(r"\b(None|True|False)\b|\[\]|\{\}|\(\)|'")


def settings_in(shown, title):
    """Return the lines of one table of settings."""
    return shown.partition(f"{title}\n")[2].partition("\n\n")[0].splitlines()[1:]


def test_changed_settings_come_first_and_no_value_is_python_s(tutelage, workplace):
    write_rows(workplace / "my.json", alpaca_values(80))
    given = ["--set", "training.seed=123", "--set", "training.learning_rate=0.30000000000000004"]
    shown = tutelage("run", "--data", "my.json", "--dry-run", *given)
    assert shown.code == 0

    changed = settings_in(shown.out, "Settings that were changed")
    others = settings_in(shown.out, "Settings at their defaults")

    assert [re.split("  +", line.strip()) for line in changed] == [
        ["data.source", "my.json", "--data"],
        ["training.seed", "123", "--set"],
        ["training.learning_rate", "0.3", "--set"],
    ]
    assert len(others) > 20
    assert not [line for line in (*changed, *others) if PYTHON.search(line)]


QUICK = {"training.max_steps": ("40", "--quick"), "evaluation.limit": ("32", "--quick")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], QUICK),
        (["--max-steps", "7"], QUICK | {"training.max_steps": ("7", "--max-steps")}),
        (["--set", "evaluation.limit=50"], QUICK | {"evaluation.limit": ("50", "--set")}),
        (
            ["--epochs", "1"],
            {"training.num_train_epochs": ("1", "--epochs"), "evaluation.limit": ("32", "--quick")},
        ),
    ],
)
def test_quick_makes_a_small_run_in_which_given_settings_win(tutelage, workplace, given, expected):
    write_rows(workplace / "my.json", alpaca_values(80))
    shown = tutelage("run", "--data", "my.json", "--quick", "--dry-run", *given)
    assert (shown.code, shown.err) == (0, "")
    changed = [re.split("  +", line.strip()) for line in settings_in(shown.out, "Settings that were changed")]
    assert {name: (value, origin) for name, value, origin in changed if name != "data.source"} == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        ([], "—"),
        ({}, "—"),
        ("", "—"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1, "1"),
        (0.1 + 0.2, "0.3"),
        (5e-05, "5e-05"),
        (["a", "b"], "a, b"),
        ({"text": "msg", "n": None}, "text = msg, n = —"),
        ("alpaca", "alpaca"),
    ],
)
def test_a_value_is_text_for_people(value, text):
    assert setting_text(value) == text


def test_every_default_is_text_for_people():
    loaded = load(None, {}, [])
    assert not [one.name for one in loaded.settings() if PYTHON.search(setting_text(one.value))]
    assert not [one.name for one in loaded.settings() if loaded.is_changed(one)]
    assert PYTHON.search(str(Recipe().evaluation))
