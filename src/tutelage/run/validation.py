"""Types for reading a run's files, and a message about the first invalid field."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """An object in a run's file; fields added by other versions of Tutelage are ignored."""

    # Deferred, so that a command only pays for the types it uses.
    model_config = ConfigDict(frozen=True, defer_build=True)

    def to_record(self) -> dict[str, Any]:
        """Return the fields that were set, in order of declaration; defaults are left out."""
        return self.model_dump(exclude_unset=True)


def describe_fault(fault: ValidationError) -> str:
    """Describe the first invalid field: wrong values come before missing ones."""
    errors = fault.errors(include_url=False)
    wrong = next((error for error in errors if error["type"] != "missing"), None)
    if wrong is not None:
        return f"has {wrong['input']!r:.40} as {_name(wrong['loc'])}"
    lost = next((error for error in errors if error["loc"] != ("format",)), errors[0])
    return f"has no {_name(lost['loc'])}"


def _name(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))
