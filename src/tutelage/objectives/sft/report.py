"""What is said of an instruction tuning: the answers are all there is to show."""

from tutelage.data.dataset.own_question import choose_question
from tutelage.evaluation.next_steps import answering_steps
from tutelage.objectives.spec import ReportPart
from tutelage.report.objective import ANSWERS

REPORT = ReportPart(
    words=lambda preparation, recipe: ANSWERS,
    section=lambda evaluation, read_lines: None,
    results=lambda evaluation: [],
    question=choose_question,
    steps=answering_steps,
)
