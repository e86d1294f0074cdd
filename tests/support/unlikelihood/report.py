"""A section with the unwanted answers and how probable they are."""

from tutelage.evaluation.next_steps import answering_steps
from tutelage.objectives.results import Heading, Table
from tutelage.objectives.sft.report import choose_own_question
from tutelage.objectives.spec import ReportPart
from tutelage.report.headline import Headline
from tutelage.report.objective import ObjectiveWords, Section

from .evaluation import LINES

WORDS = ObjectiveWords(
    "unlikelihood training", "unlikelihood loss, nats per token", "nats per unwanted token"
)


def section(evaluation, read_lines):
    """Return the section with every test row."""
    return Section(
        __package__,
        "unwanted.html",
        {"unwanted": {"figures": evaluation.figures, "rows": read_lines(LINES)}},
        headline=Headline(evaluation.verdict.capitalize(), evaluation.sentence, evaluation.verdict),
        links=[("unwanted", "Unwanted answers")],
        about_metrics="The references are unwanted here,",
    )


def results(evaluation):
    """Return the table of both models' log-probabilities, and the verdict."""
    figures = evaluation.figures
    row = ["unwanted answers", *(f"{figures[name]:.3f}" for name in ("base", "tuned", "difference"))]
    return [Table(["", "nats, base", "tuned", "difference"], [row]), Heading(evaluation.sentence)]


REPORT = ReportPart(
    words=lambda preparation, recipe: WORDS,
    section=section,
    results=results,
    question=choose_own_question,
    steps=answering_steps,
    describe_validation=lambda figures: f"An unwanted token has {figures['log_prob']:.3f} nats on average.",
)
