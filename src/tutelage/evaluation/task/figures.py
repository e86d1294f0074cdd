"""The figures that are shown beside the metrics for one kind of answers."""

from collections.abc import Collection, Sequence
from typing import Any

from tutelage.evaluation.metrics.json_checks import compare_checks
from tutelage.evaluation.metrics.json_fields import METRIC as JSON_FIELDS
from tutelage.evaluation.metrics.json_fields import compare_by_field
from tutelage.evaluation.metrics.metric import Answer


def figures_of_kind(
    base: Sequence[Answer], tuned: Sequence[Answer], *, optional: Collection[str]
) -> dict[str, Any]:
    """Return what metrics.json says of both models' answers because of their kind; `optional` metrics are scored."""
    if JSON_FIELDS.name not in optional:
        return {}
    return {"json_checks": compare_checks(base, tuned), "json_fields": compare_by_field(base, tuned)}
