"""The data rules, numbered as in docs/reference/data-rules.md, and findings under a rule."""

from dataclasses import dataclass
from typing import Any

from tutelage.codes import all_codes

RULES = {
    1: "malformed JSON",
    2: "file type",
    3: "byte-order mark",
    4: "encoding",
    5: "not strict JSON",
    6: "missing fields or messages",
    7: "values that are not text",
    8: "null values",
    9: "empty texts",
    10: "exact duplicates",
    11: "conflicting answers",
    12: "leaks if split by position",
    13: "near-duplicates",
    14: "too large",
    15: "too long",
    16: "truncated answers",
    17: "control and invisible characters",
    18: "lone surrogates",
    19: "line endings and Unicode form",
    20: "control tokens in text",
    21: "prompt template headings",
    22: "several formats",
    23: "unused fields",
    24: "no rows",
    25: "too few rows",
    26: "low variety",
    27: "markup and right-to-left text",
    28: "possible secrets",
    29: "unavailable sources",
    30: "tables and archives",
    31: "labels",
    32: "answers that repeat the prompt",
}
NOTES = {2, 3, 4, 22, 27}  # reported, but not as warnings


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about one row, or about the whole source if `row` is None."""

    code: str
    row: int | None
    message: str

    @property
    def rule(self) -> int:
        return rule_of(self.code)

    @property
    def is_warning(self) -> bool:
        return self.rule not in NOTES

    def to_record(self) -> dict[str, Any]:
        return {"code": self.code, "rule": self.rule, "row": self.row, "message": self.message}


def rule_of(code: str) -> int:
    """Return the number of the data rule for a code."""
    rule = all_codes()[code].rule
    assert rule is not None, f"{code} is the code of a finding or a ledger reason, and has no data rule"
    return rule
