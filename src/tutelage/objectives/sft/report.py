"""What is said of an instruction tuning: the answers are all there is to show."""

from collections.abc import Callable

from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.dataset.sample_prompt import SamplePrompt, choose_sample_prompt
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.evaluation.next_steps import answering_steps
from tutelage.objectives.spec import ReportPart
from tutelage.report.objective import ANSWERS


def choose_own_question(rows: PreparedRows, renderer: Callable[[], PromptRenderer]) -> SamplePrompt | None:
    """Return the prompt of a row that can be typed."""
    return choose_sample_prompt(rows, renderer())


REPORT = ReportPart(
    words=lambda preparation, recipe: ANSWERS,
    section=lambda evaluation, read_lines: None,
    results=lambda evaluation: [],
    question=choose_own_question,
    steps=answering_steps,
)
