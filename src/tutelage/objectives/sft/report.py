"""What is said of an instruction tuning: beside the loss, the share of tokens that the model predicts correctly."""

from collections.abc import Callable, Mapping

from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.dataset.sample_prompt import SamplePrompt, choose_sample_prompt
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.evaluation.next_steps import answering_steps
from tutelage.objectives.spec import ReportPart
from tutelage.report.objective import ANSWERS
from tutelage.run.events import MEAN_TOKEN_ACCURACY


def choose_own_question(rows: PreparedRows, renderer: Callable[[], PromptRenderer]) -> SamplePrompt | None:
    """Return the prompt of a row that can be typed."""
    return choose_sample_prompt(rows, renderer())


def describe_validation(figures: Mapping[str, float]) -> str | None:
    """Say which share of the tokens of the validation rows is predicted correctly."""
    if MEAN_TOKEN_ACCURACY not in figures:
        return None
    accuracy = figures[MEAN_TOKEN_ACCURACY]
    return f"At that step, {accuracy:.1%} of the supervised tokens of the validation rows are predicted correctly."


def describe_step(figures: Mapping[str, float]) -> str | None:
    """Say which share of the tokens of a step or validation is predicted correctly."""
    return f"{figures[MEAN_TOKEN_ACCURACY]:.0%} right" if MEAN_TOKEN_ACCURACY in figures else None


REPORT = ReportPart(
    words=lambda preparation, recipe: ANSWERS,
    section=lambda evaluation, read_lines: None,
    results=lambda evaluation: [],
    question=choose_own_question,
    steps=answering_steps,
    describe_validation=describe_validation,
    describe_step=describe_step,
)
