"""The metrics that go with a kind of task, chosen from the training rows before anything is trained or answered."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.config.extensions import AUTO, OPTIONAL_METRICS
from tutelage.evaluation.task.kinds import kind_of, sample_of, task_figures
from tutelage.run.artifacts import TaskChoice, TaskKind
from tutelage.tree.examples import PreparedRow

WITHOUT_TASK = "chrf"
RULE = 1  # rises whenever the rules or the table change, so that a run says by which of them its metric was chosen


@dataclass(frozen=True)
class TaskMetrics:
    """The metric that a verdict on answers of a kind should rest on, and those to show beside it."""

    primary: str
    beside: tuple[str, ...]


# Exact match where there is one right answer, a graded metric where there are many. Code is among these: programs that
# do the same are written in many ways, so that exact match is near 0 for both models and sees no progress.
TASK_METRICS: dict[TaskKind, TaskMetrics] = {
    "json": TaskMetrics("json_fields", ("json_exact", "json")),
    "labels": TaskMetrics("exact_match", ("token_f1",)),
    "numbers": TaskMetrics("numeric", ("exact_match",)),
    "code": TaskMetrics("chrf", ("exact_match", "rouge_l")),
    "short_facts": TaskMetrics("exact_match", ("token_f1", "chrf")),
    "free_text": TaskMetrics("chrf", ("rouge_l", "token_f1")),
}


def choose_metrics(training: Sequence[PreparedRow]) -> TaskChoice:
    """Return the kind of the training rows' answers and the metrics that go with it, as preparation.json records them.

    Of many rows a sample is read. Undesirable answers have no say. The choice has a hash of its own, by which a later
    stage can tell that it still is the one that was made.
    """
    references = [row.response for row in sample_of(training) if row.example.is_desirable is not False]
    figures = task_figures(references)
    kind = kind_of(figures)
    metrics = TASK_METRICS[kind]
    chosen = {
        "kind": kind,
        "primary_metric": metrics.primary,
        "metrics": list(metrics.beside),
        "rule": RULE,
        "figures": figures.to_record(),
        "references_sha256": _sha256(references),
    }
    return TaskChoice.model_validate({**chosen, "sha256": _sha256(chosen)})


def deciding_metrics(setting: str, task: TaskChoice | None) -> tuple[str, list[str]]:
    """Return the metric that decides under evaluation.primary_metric, and which optional metrics are scored.

    Rows that an older version prepared have no task.
    """
    of_task = [task.primary_metric, *task.metrics] if task else []
    primary = next(iter(of_task), WITHOUT_TASK) if setting == AUTO else setting
    return primary, [name for name in dict.fromkeys([primary, *of_task]) if name in OPTIONAL_METRICS]


def _sha256(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
