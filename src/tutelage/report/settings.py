"""The settings of a run in words: first those that differ from the defaults, then the rest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import walk
from tutelage.report.numbers import in_words, size

_OF_DEFAULT = re.compile(r"Default: (.+?)\.?$")


@dataclass(frozen=True)
class SettingRow:
    """One setting, its values in words; `origin` is empty where it is the default's or is not known."""

    name: str
    value: str
    default: str
    origin: str
    meaning: str


@dataclass(frozen=True)
class SettingsTables:
    """`without_effect` gives the names of settings that the others leave nothing to decide, by the reason."""

    changed: list[SettingRow]
    rest: list[SettingRow]
    without_effect: Mapping[str, str]


def settings_tables(recipe: Recipe, origins: Mapping[str, str]) -> SettingsTables:
    """Part the settings of a recipe into those with another value than the default's and those without."""
    idle = recipe.inactive_settings()
    unused = {name for names in idle.values() for name in names}
    changed, rest = [], []
    for (name, value, meaning), (_, default, _) in zip(walk(recipe), walk(Recipe()), strict=True):
        if name not in unused:
            row = SettingRow(
                name,
                value=value_in_words(name, value, meaning),
                default=value_in_words(name, default, meaning),
                origin=origins.get(name, ""),
                meaning=meaning.replace("`", ""),
            )
            (rest if value == default else changed).append(row)
    return SettingsTables(changed, rest, {reason: ", ".join(names) for reason, names in idle.items()})


def value_in_words(name: str, value: Any, meaning: str) -> str:
    """Write a value of a setting; what is not set is what its description says of its default."""
    if value is None:
        told = _OF_DEFAULT.search(meaning)
        return told[1].replace("`", "") if told else "none"
    if name.endswith("_bytes"):
        return size(value)
    return str(value) if name.endswith(".seed") else in_words(value)
