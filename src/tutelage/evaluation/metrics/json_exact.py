"""All fields right: whether an answer has every JSON field of the reference with the same value, and no others."""

from dataclasses import replace

from tutelage.evaluation.metrics.json_fields import check_json_references, compare_fields
from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets

METRIC = AnswerMetric(
    name="json_exact",
    label="All fields right",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share that has every JSON field of the reference right and no extra one",
    score=lambda answer: 100 * float(compare_fields(answer["response"], answer["reference"]).is_exact),
)
SET_METRIC = replace(for_sets(METRIC), prepare=check_json_references)
