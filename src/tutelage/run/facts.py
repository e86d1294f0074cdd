"""What the stages ask each other's JSON files for, by the name of the file: each fact with its type."""

from collections.abc import Mapping
from typing import Any

# Raised whenever a reader needs more of a file, or something else, than it did before.
EVALUATION_FORMAT = 1
PREPARATION_FORMAT = 1
FORMATS = {"metrics.json": EVALUATION_FORMAT, "preparation.json": PREPARATION_FORMAT}

# What the stages ask each other's files for. A file without it, or with another type in its place, is damaged.
FACTS: Mapping[str, Mapping[str, Any]] = {
    "preparation.json": {
        "source": str,
        "sha256": str,
        "model": str,
        "model_sha256": str,
        "settings": dict,
        "prompt": str,
        "split": str,
        "end_of_turn": str,
        "end_of_turn_id": int,
        **{
            f"rows.{counted}": int
            for counted in ("read", "kept", "repaired", "dropped", "train", "test", "validation")
        },
        **{f"tokens.{counted}": int for counted in ("train", "supervised", "distinct")},
        "repeated_prompts": int,
        "leaks.test": list,
        "leaks.validation": list,
        "notes": list,
    },
    "training.json": {
        "dtype": str,
        "padded_because": str | None,
        **{f"loss.{when}": int | float | None for when in ("before", "best")},
    },
    "metrics.json": {"primary_metric": str, "verdict": str, "sentence": str, "rows": int},
    "judges.json": {"judges": dict},
    "environment.json": {},
}
