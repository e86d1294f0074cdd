"""Recipes in TOML: read, override from the command line, validate, and write with all values."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from tutelage.codes import Message, all_codes
from tutelage.config.built_in_data import default_settings
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.config.recipes import ENDING, shipped_recipes
from tutelage.config.renames import VALUES, describe_rename, renamed_setting
from tutelage.errors import RecipeError
from tutelage.text.credentials import without_known_keys, without_secrets
from tutelage.text.spelling import did_you_mean, nearest, nearest_path

# Device and dtype may differ between stages.
PLACE_OF_WORK = ("training.device", "training.dtype")
# Descriptive settings can change after the run.
TOLD = ("data.license",)
# Inputs identified by hash, wherever they are.
FOUND_BY_HASH = ("model.adapter",)


@dataclass(frozen=True)
class Setting:
    """A setting of a recipe and its origin: `default`, `lora.toml:14` or `--set`."""

    name: str
    value: Any
    origin: str
    description: str


@dataclass(frozen=True)
class LoadedRecipe:
    """A validated recipe, and the origin of every value that is not a default.

    With `unchecked`, the SHA-256 recorded by the run or "", the base model's files are not hashed. The folder
    `functions_in` may contain the record of user functions that belong to the recipe. `adapter_at`, `data_at`
    and `model_at` are the current locations of inputs that have moved since the run recorded them.
    """

    recipe: Recipe
    origins: Mapping[str, str]
    unchecked: str | None = None
    functions_in: Path | None = None
    adapter_at: Path | None = None
    data_at: str | None = None
    model_at: str | None = None

    def settings(self) -> list[Setting]:
        """Return all settings in order of declaration."""
        return [
            Setting(name, value, self._origin(name), description)
            for name, value, description in walk(self.recipe)
        ]

    def is_changed(self, setting: Setting) -> bool:
        """Return whether a setting differs from its default or was given on the command line."""
        return setting.origin.startswith("-") or setting.value != _defaults()[setting.name]

    def inactive_settings(self) -> dict[str, tuple[str, ...]]:
        """Return the settings without effect, by reason."""
        return self.recipe.inactive_settings()

    def _origin(self, name: str) -> str:
        # For a table of tables, such as evaluation.sets, use the origin of the first setting in it.
        within = (origin for known, origin in self.origins.items() if known.startswith(f"{name}."))
        return self.origins.get(name) or next(within, "default")


def setting_text(value: object) -> str:
    """Format a setting for display: as in TOML, with rounded numbers, and a dash for unset values."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        text = ", ".join(f"{key} = {setting_text(one)}" for key, one in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(map(setting_text, value))
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = "" if value is None else str(value)
    return text or "—"


def load(path: Path | None, overrides: Mapping[str, Any], assignments: Sequence[str]) -> LoadedRecipe:
    """Read a recipe file (None: defaults) and apply option overrides, then `section.name=value` assignments.

    `overrides` maps "OPTION SETTING" to a value: {"--data data.source": "my.json"}. What none of them gives is a
    default of the built-in data set, or of the setting.
    """
    tables, origins = _read(path) if path else ({}, {})
    options = {option_and_name.split(" ")[0] for option_and_name in overrides}
    for option_and_name, value in overrides.items():
        option, name = option_and_name.split(" ")
        _assign(tables, name, value)
        origins[name] = option
    for assignment in assignments:
        name, value = _parse_assignment(assignment)
        if origins.get(name) in options:
            raise RecipeError(
                "settings.given_twice",
                f"{origins[name]} and --set {name} give the same setting. Leave one of them out.",
            )
        _assign(tables, name, value)
        origins[name] = "--set"
    for name, value in default_settings(tables.get("data", {}).get("source")).items():
        if name not in tables["data"]:
            _assign(tables, f"data.{name}", value)
            origins[f"data.{name}"] = tables["data"]["source"]
    loaded = LoadedRecipe(check(tables, origins), origins, functions_in=path.parent if path else None)
    _require_effect(loaded, {name for name, origin in origins.items() if origin.startswith("-")})
    return loaded


def check(tables: Mapping[str, Any], origins: Mapping[str, str]) -> Recipe:
    """Validate tables of settings; raise RecipeError for unknown settings and invalid values."""
    try:
        return Recipe.model_validate(tables)
    except ValidationError as fault:
        explained = [_explain(error, origins) for error in fault.errors()]
        raise RecipeError(explained[0].code, "\n".join(one.text for one in explained)) from fault


def _require_effect(loaded: LoadedRecipe, given: Collection[str]) -> None:
    """Raise RecipeError if a setting on the command line has no effect, even with its default value."""
    for reason, names in loaded.inactive_settings().items():
        for name in names:
            if name in given:
                raise RecipeError(
                    "settings.inactive",
                    f"{reason}, so {name} ({loaded.origins[name]}) has no effect: leave it out.",
                )


def to_toml(recipe: Recipe) -> str:
    """Write a recipe with all values, except settings that are unset or have no effect."""
    tables = recipe.model_dump(exclude_none=True)
    for names in recipe.inactive_settings().values():
        for section, key in (name.split(".") for name in names):
            tables[section].pop(key, None)
    return tomli_w.dumps(tables)


def changed_settings(
    before: Recipe,
    after: Recipe,
    *,
    sections: Collection[str] = tuple(Recipe.model_fields),
    apart_from: Collection[str] = (*PLACE_OF_WORK, *TOLD, *FOUND_BY_HASH),
) -> list[str]:
    """Describe the settings in `sections` that differ between two recipes; `auto` is no other prompt template."""
    return [
        f"{name} (was {old!r}, now {new!r})"
        for (name, old, _), (_, new, _) in zip(walk(before), walk(after), strict=True)
        if name.split(".")[0] in sections
        and old != new
        and name not in apart_from
        and (name, new) != ("data.prompt_template", "auto")
    ]


def walk(recipe: Recipe) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and description of every setting."""
    for section_name in type(recipe).model_fields:
        section: BaseModel = getattr(recipe, section_name)
        for key, field in type(section).model_fields.items():
            yield f"{section_name}.{key}", getattr(section, key), field.description or ""


def setting_named(name: str) -> str:
    """Return the full name of a setting, given as `section.name` or as its unique last part."""
    known = {full.partition(".")[2]: full for full, _, _ in walk(Recipe())}
    if name in known:
        return known[name]
    if name not in known.values():
        if new := renamed_setting(name):
            raise RecipeError("settings.renamed", describe_rename(name, new))
        near = _nearest(name)
        meant = did_you_mean(near and (near if "." in name else near.partition(".")[2]))
        raise RecipeError("settings.unknown", f"Unknown setting {name}.{meant}")
    return name


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte-order mark
        tables = tomllib.loads(text)
    except FileNotFoundError as fault:
        raise RecipeError(
            "settings.recipe_not_found",
            f"The recipe {path} does not exist, and no built-in recipe has that name (`tutelage recipes"
            f" list`).{did_you_mean(_nearest_recipe(path))} Give a recipe file or a run folder, or leave it"
            " out and use --data.",
        ) from fault
    except (OSError, UnicodeDecodeError) as fault:
        raise RecipeError(
            "settings.recipe_unreadable", f"The recipe {path} cannot be read: {fault}. {_way_to_mend(path)}"
        ) from fault
    except tomllib.TOMLDecodeError as fault:
        raise RecipeError(
            "settings.malformed_toml", f"The recipe {path} is not valid TOML: {fault}. {_way_to_mend(path)}"
        ) from fault
    for section, table in tables.items():
        if isinstance(table, list):
            raise RecipeError(
                "settings.list_of_tables",
                f"{path} has [[{section}]], a list of tables. Write [{section}], once.",
            )
        if not isinstance(table, dict):
            raise RecipeError(
                "settings.outside_table",
                f"{path} sets {section!r} outside any table. Settings belong in {_tables()}.",
            )
    return tables, {name: f"{path.name}:{line}" for name, line in _lines_of_settings(text)}


def _nearest_recipe(path: Path) -> Path | str | None:
    """Return the built-in recipe, or the neighbor of a path, with the most similar name."""
    shipped = nearest(str(path), shipped_recipes())
    return shipped or nearest_path(path, lambda entry: entry.suffix == ENDING or entry.is_dir())


def _way_to_mend(path: Path) -> str:
    if path.suffix.lower() != ".toml":
        return f"A recipe is a .toml file. To give rows to train on, use --data {path}."
    return (
        "Fix it there: write settings as `name = value` under their [table], with texts in quotation marks."
    )


def _lines_of_settings(text: str) -> Iterator[tuple[str, int]]:
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            section = header[1]
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            yield f"{section}.{key[1]}", number


def _parse_assignment(assignment: str) -> tuple[str, Any]:
    name, equals, value = assignment.partition("=")
    if not equals or not name.strip():
        raise RecipeError(
            "settings.malformed_assignment",
            f"--set {assignment!r} does not have the form section.name=value.",
        )
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()  # a bare word is text: --set training.method=full


def _assign(tables: dict[str, Any], name: str, value: Any) -> None:
    section, dot, key = name.partition(".")
    if not dot:
        raise RecipeError(
            "settings.unknown",
            f"{name!r} is not a setting.{_meant_setting(name)} Settings have the form section.name.",
        )
    table = tables.setdefault(section, {})
    if of_a_set := re.fullmatch(r"evaluation\.sets\.([^.]+)\.([^.]+)", name):
        table, key = table.setdefault("sets", {}).setdefault(of_a_set[1], {}), of_a_set[2]
    table[key] = value


def _explain(error: Any, origins: Mapping[str, str]) -> Message:
    # Named test sets are nested two levels deeper.
    depth = 4 if error["loc"][:2] == ("evaluation", "sets") else 2
    name = ".".join(str(part) for part in error["loc"][:depth])
    where = f" ({origins[name]})" if name in origins else ""
    if error["type"] == "extra_forbidden":
        if len(error["loc"]) == 1:
            near = nearest(name, Recipe.model_fields)
            meant = did_you_mean(near and f"[{near}]")
            return Message(
                "settings.unknown_table",
                f"{name!r} is not a table of a recipe.{meant} Settings belong in {_tables()}.",
            )
        if new := renamed_setting(name):
            return Message("settings.renamed", describe_rename(f"{name}{where}", new))
        return Message("settings.unknown", f"Unknown setting {name}{where}.{_meant_setting(name)}")
    # pydantic starts with the type: "Input should be ...", "String should have ..."
    message = re.sub(r"^\w+ (?=should )", "", error["msg"])
    if error["type"] == "string_unicode":  # a file name in an older encoding
        told = f"{name} is {error['input']!r}{where}, which is not valid Unicode. Rename the file or folder."
        return Message("settings.not_unicode", told)
    if error["type"] in all_codes():
        return Message(error["type"], f"{message}{where}.")
    meant = None
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        known = re.findall(r"'([^']+)'", message)
        meant = VALUES.get(name, {}).get(error["input"]) or nearest(error["input"], known)
    told = f"{name} is {_shown(name, error['input'])}{where}, but it {message}.{did_you_mean(meant)}"
    return Message("settings.invalid_value", told)


def _shown(name: str, value: Any) -> str:
    """Format a value for a message; a judge's name may contain a key or a password."""
    is_address = name.startswith("evaluation.judge") and isinstance(value, str)
    return without_known_keys(repr(without_secrets(value) if is_address else value))


def _nearest(name: str) -> str | None:
    """Return the most likely setting: by its last words, its initials (lr), or its spelling."""
    section, _, key = name.rpartition(".")
    if section.startswith("evaluation.sets."):
        near = nearest(key, EvalSetSettings.model_fields)
        return near and f"{section}.{near}"
    own_names = {known: known.split(".")[1] for known in _known_names() if known.startswith(section)}
    for known, own in own_names.items():
        if own.endswith(f"_{key}"):
            return known
    for known, own in own_names.items():
        if "".join(word[0] for word in own.split("_")) == key:
            return known
    near_key = nearest(key, own_names.values())
    return next((known for known, own in own_names.items() if own == near_key), None) or nearest(
        name, _known_names(), cutoff=0.8
    )


def _meant_setting(name: str) -> str:
    return did_you_mean(_nearest(name)) or " `tutelage run --dry-run` lists all settings."


@cache
def _defaults() -> Mapping[str, Any]:
    return {name: value for name, value, _ in walk(Recipe())}


def _known_names() -> list[str]:
    return list(_defaults())


def _tables() -> str:
    return ", ".join(f"[{section}]" for section in Recipe.model_fields)
