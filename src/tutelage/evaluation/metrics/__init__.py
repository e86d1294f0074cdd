"""Scores: of one answer against its reference, of a named set, and of classes; a file for each metric.

To add one, write its file and name it in `config/extensions.py`.
"""

from collections.abc import Iterable
from importlib import import_module

from tutelage.config.extensions import ANSWER_METRICS, METRICS, SET_METRICS
from tutelage.evaluation.metrics.metric import AnswerMetric, SetMetric


def load_metric(name: str) -> AnswerMetric:
    """Return a metric of the test rows by its name; its module is imported when it is first asked for."""
    return import_module(ANSWER_METRICS[name]).METRIC


def load_metrics(optional: Iterable[str] = ()) -> dict[str, AnswerMetric]:
    """Return the metrics of the test rows by their names, in the order of reports and files: optional ones first."""
    return {name: load_metric(name) for name in (*optional, *METRICS)}


def load_set_metric(name: str) -> SetMetric:
    """Return a metric of named test sets by its name; its module is imported when it is first asked for."""
    return import_module(SET_METRICS[name]).SET_METRIC
