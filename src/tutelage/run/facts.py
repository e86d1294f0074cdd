"""What the stages ask each other's JSON files for, by the name of the file: each fact with its type."""

from collections.abc import Mapping
from typing import Any

# Raised whenever a reader needs more of a file, or something else, than it did before.
EVALUATION_FORMAT = 1
FORMATS = {"metrics.json": EVALUATION_FORMAT}

# What the stages ask each other's files for. A file without it, or with another type in its place, is damaged.
FACTS: Mapping[str, Mapping[str, Any]] = {
    "metrics.json": {"primary_metric": str, "verdict": str, "sentence": str, "rows": int},
    "judges.json": {"judges": dict},
    "environment.json": {},
}
