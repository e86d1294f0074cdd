"""What the stages ask each other's JSON files for, by the name of the file: each fact with its type."""

from collections.abc import Mapping
from typing import Any

# A file without it, or with another type in its place, is damaged.
FACTS: Mapping[str, Mapping[str, Any]] = {"environment.json": {}}
