"""Four checks of a JSON answer, from form to content: valid, right keys, right types, all fields right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any

from tutelage.evaluation.metrics.class_metrics import proportion_of
from tutelage.evaluation.metrics.json_fields import compare_fields
from tutelage.evaluation.metrics.json_values import FieldPath, read_container, values_by_path
from tutelage.evaluation.metrics.metric import Answer

TYPES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    NoneType: "null",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True)
class JsonChecks:
    """Which checks an answer passes."""

    valid: bool
    keys: bool
    types: bool
    all_right: bool


def check_json(response: str, reference: str) -> JsonChecks:
    """Check an answer against its reference, each a JSON object or array, by itself or in a code fence.

    The keys are right if both have the same keys at the same paths, and none is missing or extra. The types are right
    if the answer has a value of the same type at every path of the reference; extra values do not count. An answer to
    a reference that is no JSON passes all checks but the first if the texts are equal.
    """
    wanted, given = read_container(reference), read_container(response)
    all_right = compare_fields(response, reference).is_exact
    if wanted is None or given is None:
        return JsonChecks(given is not None, all_right, all_right, all_right)
    expected, found = _types_by_path(wanted), _types_by_path(given)
    return JsonChecks(
        valid=True,
        keys=_key_paths(expected) == _key_paths(found),
        types=all(found.get(path) == kind for path, kind in expected.items()),
        all_right=all_right,
    )


def compare_checks(base: Sequence[Answer], tuned: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Return for each check the share of the rows whose answer passes it, with Wilson's 95 % interval, by model."""
    before, after = _passed(base), _passed(tuned)
    return {
        name: {
            "rows": len(tuned),
            "base": proportion_of(before[name], len(base)),
            "tuned": proportion_of(after[name], len(tuned)),
        }
        for name in after
    }


def _passed(rows: Sequence[Answer]) -> dict[str, int]:
    checked = [asdict(check_json(row["response"], row["reference"])) for row in rows]
    return {name: sum(one[name] for one in checked) for name in JsonChecks.__dataclass_fields__}


def _types_by_path(value: Any) -> dict[FieldPath, str]:
    return {path: TYPES[type(inner)] for path, inner in values_by_path(value)}


def _key_paths(paths: dict[FieldPath, str]) -> set[FieldPath]:
    return {path for path in paths if path and isinstance(path[-1], str)}
