"""What a recipe names by a word and another package does: the module of each, by that word.

A recipe is checked before anything is loaded, so the names stand here, and what has a name is imported when it is
first used.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import AfterValidator
from pydantic_core import PydanticKnownError


def one_of(table: Mapping[str, Any]) -> AfterValidator:
    """Return the validator of a setting whose value is a name in a table; its error is that of a Literal."""

    def require_known(name: str) -> str:
        if name not in table:
            *others, last = map(repr, table)
            raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
        return name

    return AfterValidator(require_known)
