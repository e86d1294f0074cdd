"""Numbers as people read them, and settings without the forms of code."""

import re

import pytest

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import check, walk
from tutelage.report.numbers import duration, in_words, number, percent, signed, significant, size
from tutelage.report.settings import settings_tables

OF_CODE = re.compile(r"\bNone\b|\bTrue\b|\bFalse\b|\[|\]|[{}]|\de[-+]?\d|\d{7}|\.\d{7}")


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (significant, 2.4071, "2.41"),
        (significant, 0.93, "0.930"),
        (significant, 0.012345, "0.0123"),
        (significant, 99.96, "100"),
        (significant, 999.7, "1,000"),
        (significant, 12345.6, "12,346"),
        (significant, 0.0, "0.00"),
        (significant, 1.234e-7, "1.23 × 10⁻⁷"),
        (significant, -0.5, "-0.500"),
        (number, 12345, "12,345"),
        (number, 12345.6, "12,346"),
        (number, True, "yes"),
        (number, None, "none"),
        (number, "2.13.0+cpu", "2.13.0+cpu"),
        (percent, 0.98765, "98.8 %"),
        (duration, 0.2, "less than a second"),
        (duration, 48.4, "0:48 min"),
        (duration, 119.6, "2:00 min"),
        (duration, 3723, "1:02:03 h"),
        (size, 1000, "1,000 bytes"),
        (size, 100 * 2**20, "100 MiB"),
        (size, 2**20, "1 MiB"),
        (in_words, 1e-8, "1 × 10⁻⁸"),
        (in_words, 5e-4, "0.0005"),
        (in_words, 0.1 + 0.2, "0.3"),
        (in_words, 1.0, "1"),
        (in_words, False, "no"),
        (in_words, [], "none"),
        (in_words, {}, "none"),
        (in_words, "", "none"),
        (in_words, ["q_proj", "v_proj"], "q_proj, v_proj"),
        (in_words, {"text": "message"}, "text: message"),
    ],
)
def test_values_are_written_for_people(write, value, text):
    assert write(value) == text


def test_a_difference_has_its_sign_and_none_at_zero_that_is_rounded():
    assert [signed(value, 2) for value in (0.126, -0.126, -0.001)] == ["+0.13", "\u22120.13", "+0.00"]


SETTINGS = {
    "training": {"learning_rate": 1e-5, "objective": "instruction"},
    "adapter": {"target_modules": ["q_proj", "v_proj"]},
    "evaluation": {"sets": {"mine": {"source": "my.json", "metric": "chrf"}}},
}


def test_no_setting_is_written_as_python_writes_it():
    for recipe in (Recipe(), check(SETTINGS, {})):
        tables = settings_tables(recipe, {})
        rows = [*tables.changed, *tables.rest]
        written = [text for row in rows for text in (row.value, row.default)]
        assert len(rows) > 40
        assert all(written)
        assert [text for text in written if OF_CODE.search(text)] == []


def test_what_python_writes_would_be_found():
    written = [str(value) for _, value, _ in walk(check(SETTINGS, {}))]
    found = {text for text in written if OF_CODE.search(text)}
    assert {"None", "[]", "{}", "True", "1e-05", "104857600"} <= found


def test_changed_settings_are_apart_with_default_and_origin():
    origins = {"training.learning_rate": "lora.toml:14", "training.seed": "--set"}
    tables = settings_tables(check(SETTINGS, {}), origins)
    changed = {row.name: (row.value, row.default, row.origin) for row in tables.changed}
    assert changed == {
        "training.learning_rate": ("1 × 10⁻⁵", "0.0005", "lora.toml:14"),
        "adapter.target_modules": ("q_proj, v_proj", "all-linear", ""),
        "evaluation.sets": ("mine", "none", ""),
    }
    rest = {row.name: row for row in tables.rest}
    assert rest["training.seed"].origin == "--set"
    assert rest["training.eval_steps"].value == "four times per epoch"
    assert rest["data.max_row_bytes"].value == "1 MiB"
    assert "data.pooling" not in rest
    assert "data.pooling" in tables.without_effect["training.objective is instruction"]
