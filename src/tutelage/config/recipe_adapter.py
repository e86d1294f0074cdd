"""The table [adapter] of the recipe."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tutelage.config.recipe_section import Section, setting_error
from tutelage.text.patterns import compile_pattern

ALL_LINEAR = "all-linear"

# Number of last blocks that are trained in place under a classification head.
LAST_BLOCKS = {"head": 0, "last-block": 1, "last-two-blocks": 2}


Method = Literal["lora", "full", "last-block", "last-two-blocks", "head"]


class AdapterSettings(Section):
    """The LoRA adapter."""

    r: Annotated[int, Field(ge=1)] = Field(16, description="Rank of the LoRA adapter.")
    lora_alpha: Annotated[float, Field(gt=0)] = Field(
        32, description="The adapter is scaled by lora_alpha / r."
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout on the adapter's input."
    )
    target_modules: str | list[str] = Field(
        ALL_LINEAR,
        description="Layers that get an adapter: `all-linear`, a list of module names or name endings, or a regular"
        " expression that matches full names.",
    )

    @field_validator("target_modules", mode="before")
    @classmethod
    def names_in_one_text_are_a_list(cls, value: Any) -> Any:
        """Read `q_proj,v_proj` and `[q_proj, v_proj]` as lists; peft would take either as a regular expression."""
        if isinstance(value, str):
            names = _names_in(value)
            if names is None:
                _check_regex(value)
                return value
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            names = [name for one in value for name in _names_in(one) or [one]]
        else:
            return value
        if not names:
            raise setting_error(
                "settings.target_modules_empty",
                "target_modules names no module; write all-linear, or a list such as ['q_proj', 'v_proj']",
            )
        return ALL_LINEAR if [name.lower() for name in names] == [ALL_LINEAR] else names


@dataclass(frozen=True)
class Tuning:
    """Which weights are trained: an adapter, the whole model, or the last blocks and the head."""

    method: Method = "lora"
    adapter: AdapterSettings = field(default_factory=AdapterSettings)

    @property
    def is_lora(self) -> bool:
        return self.method == "lora"

    @property
    def last_blocks(self) -> int | None:
        """Number of last blocks trained in place; None for an adapter or full fine-tuning."""
        return LAST_BLOCKS.get(self.method)


def _names_in(text: str) -> list[str] | None:
    """Return the module names in a text, without brackets and quotes; None if it is a regular expression."""
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("[]", "()"):
        inner = inner[1:-1]
    names = [name for piece in re.split(r"[,;\s]+", inner) if (name := piece.strip("'\""))]
    return names if all(re.fullmatch(r"[\w.-]+", name) for name in names) else None


def _check_regex(text: str) -> None:
    try:
        compile_pattern(text)
    except re.error as fault:
        raise setting_error(
            "settings.invalid_regex",
            f"target_modules is neither a list of module names nor a valid regular expression: {fault}",
        ) from fault
