"""Every code that an error, a warning, a note, a finding or a ledger reason carries.

Messages change; codes do not, so that programs and tests read codes. The part before the dot says which area speaks.
The table is codes.toml, from which docs/reference/codes.md is written.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Message:
    """A text for people with its code for programs: a ledger reason, a note or a warning."""

    code: str
    text: str

    def to_record(self) -> dict[str, str]:
        return {"code": self.code, "message": self.text}


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means, and the number of the data rule that it belongs to, if any.

    At a finding that `stops`, `prepare` would stop. A note that `warns` is one that a person should look at before the
    training. A note `about_training` says what training would do with the rows; who does not train leaves it out.
    """

    meaning: str
    rule: int | None = None
    stops: bool = False
    warns: bool = False
    about_training: bool = False


@cache
def all_codes() -> dict[str, Code]:
    """Return the table of codes, area by area."""
    return {
        f"{area}.{name}": Code(entry) if isinstance(entry, str) else Code(**entry)
        for area, table in _tables().items()
        for name, entry in table["codes"].items()
    }


def areas() -> dict[str, str]:
    """Return the areas of the codes, each with what it is about."""
    return {area: table["about"] for area, table in _tables().items()}


@cache
def _tables() -> dict[str, dict]:
    return tomllib.loads((resources.files("tutelage") / "codes.toml").read_text(encoding="utf-8"))
