"""The table [adapter] of the recipe."""

from typing import Annotated, Literal

from pydantic import Field

from tutelage.recipe_section import Section

# How many of the last blocks are trained in place under a head for labels.
LAST_BLOCKS = {"head": 0, "last-block": 1, "last-two-blocks": 2}


class AdapterSettings(Section):
    """What is trained: an adapter, or weights of the model itself."""

    type: Literal["lora", "none", "last-block", "last-two-blocks", "head"] = Field(
        "lora",
        description="`lora` trains an adapter; `none` trains every weight. For labels, `last-block` and"
        " `last-two-blocks` train so many blocks with the norm after them, and `head` nothing but the head for labels,"
        " which is always trained.",
    )
    r: Annotated[int, Field(ge=1)] = Field(16, description="Rank of the adapter.")
    lora_alpha: Annotated[float, Field(gt=0)] = Field(
        32, description="The adapter is scaled by lora_alpha / r."
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Dropout before the adapter.")
    target_modules: str | list[str] = Field(
        "all-linear", description="Which layers get an adapter: `all-linear`, or a list of module names."
    )

    @property
    def last_blocks(self) -> int | None:
        """How many of the last blocks are trained in place, None where all weights or an adapter are."""
        return LAST_BLOCKS.get(self.type)
