"""Settings as a program gives them: keywords with the last part of a setting's name, and values of its libraries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.config.recipe_file import setting_named


def overrides_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords as `load` takes overrides; RecipeError where one is no setting."""
    return {f"--set {setting_named(name)}": _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    """Return a number of numpy or torch as one of Python, and a path as a text."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
