"""Types for what is read from a run's files, and one sentence about the first field that is wrong."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """An object in a file of a run; what another version of Tutelage writes beside its fields is not read."""

    # Deferred, so that a command pays only for the types that it reads.
    model_config = ConfigDict(frozen=True, defer_build=True)

    def to_record(self) -> dict[str, Any]:
        """Return every field that was given, in the order of the fields; a default that nobody gave is absent."""
        return self.model_dump(exclude_unset=True)


def describe_fault(fault: ValidationError) -> str:
    """Say which field is wrong: what has another value comes before what is missing."""
    errors = fault.errors(include_url=False)
    wrong = next((error for error in errors if error["type"] != "missing"), None)
    if wrong is not None:
        return f"has {wrong['input']!r:.40} as {_name(wrong['loc'])}"
    lost = next((error for error in errors if error["loc"] != ("format",)), errors[0])
    return f"has no {_name(lost['loc'])}"


def _name(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))
