"""The base class of recipe tables, and shared field types."""

from typing import Annotated, LiteralString

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tutelage.config.extensions import ROW_FORMATS, one_of

FormatName = Annotated[str, Field(json_schema_extra={"enum": list(ROW_FORMATS)}), one_of(ROW_FORMATS)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A table of the recipe: immutable, and without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


def setting_error(code: LiteralString, message: str) -> PydanticCustomError:
    """Return a validation error with its own code; pydantic gives every ValueError the same one."""
    return PydanticCustomError(code, "{message}", {"message": message})
