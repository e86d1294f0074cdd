"""What every table of the recipe is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the recipe: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )
