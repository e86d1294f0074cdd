"""The checks and the fields of JSON answers, for the page: which share of the rows each model has right."""

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.report.numbers import percent
from tutelage.run.evaluation import FieldFigures, JsonCheck
from tutelage.run.figures import Proportion

CHECKS: dict[JsonCheck, str] = {
    "valid": "Valid JSON",
    "keys": "Exactly the right keys",
    "types": "Right types",
    "all_right": "All fields right",
}


@dataclass(frozen=True)
class FieldRow:
    """One line of the tables of checks and fields, its shares and their 95 % intervals as text."""

    name: str
    rows: int
    base: str
    base_interval: str
    tuned: str
    tuned_interval: str


def check_rows(checks: Mapping[JsonCheck, FieldFigures]) -> list[FieldRow]:
    """Return the lines of the table of checks."""
    return field_rows({CHECKS[name]: one for name, one in checks.items()})


def field_rows(fields: Mapping[str, FieldFigures]) -> list[FieldRow]:
    """Return the lines of the table of fields."""
    return [
        FieldRow(
            name,
            one.rows,
            percent(one.base.value),
            _interval(one.base),
            percent(one.tuned.value),
            _interval(one.tuned),
        )
        for name, one in fields.items()
    ]


def _interval(share: Proportion) -> str:
    return f"{100 * share.low:.1f} to {100 * share.high:.1f}"
