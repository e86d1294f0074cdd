"""The figures that are shown beside the metrics for one kind of answers."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tutelage.evaluation.metrics.json_checks import compare_checks
from tutelage.evaluation.metrics.json_fields import METRIC as JSON_FIELDS
from tutelage.evaluation.metrics.json_fields import compare_by_field
from tutelage.evaluation.metrics.label_answers import compare_labels
from tutelage.evaluation.metrics.metric import Answer
from tutelage.run.artifacts import TaskChoice
from tutelage.tree.examples import PreparedRow


def figures_of_kind(
    base: Sequence[Answer],
    tuned: Sequence[Answer],
    *,
    task: TaskChoice | None,
    optional: Collection[str],
    training: Iterable[PreparedRow],
) -> dict[str, Any]:
    """Return what metrics.json says of both models' answers because of their kind; `optional` metrics are scored."""
    figures: dict[str, Any] = {}
    if JSON_FIELDS.name in optional:
        figures["json_checks"] = compare_checks(base, tuned)
        figures["json_fields"] = compare_by_field(base, tuned)
    if task is not None and task.kind == "labels":
        figures["labels"] = compare_labels(base, tuned, (row.response for row in training))
    return figures
