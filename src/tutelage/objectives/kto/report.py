"""What the page and the terminal show of KTO: its margin, and the answers on which the model went the wrong way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import Recipe
from tutelage.evaluation.next_steps import answering_steps
from tutelage.evaluation.stats.clusters import shared_frame
from tutelage.objectives.answer_kinds import kind_row, kinds_table, signed_text
from tutelage.objectives.kto.evaluation import LINES
from tutelage.objectives.results import Block, Heading, Text
from tutelage.objectives.sft.report import choose_own_question
from tutelage.objectives.spec import ReadLines, ReportPart
from tutelage.report.headline import Headline, KeyFigure
from tutelage.report.objective import ObjectiveWords, Section
from tutelage.run.artifacts import Preparation
from tutelage.run.evaluation import AnswerBits, AnswerEvaluation, Evaluation

WRONG_SHOWN = 5
LOSS = "KTO loss per answer"
MEANINGS = {
    "desirable": "answers with the label true; fewer bits per byte mean a higher probability",
    "undesirable": "answers with the label false",
}


@dataclass(frozen=True)
class ShownAnswer:
    """A test answer whose reward has the wrong sign, or the least right one."""

    row: int
    prompt: str
    answer: str
    kind: str
    reward: str


def kto_words(preparation: Preparation, recipe: Recipe | None) -> ObjectiveWords:
    """Return the words for the losses and rows of KTO."""
    return ObjectiveWords(OBJECTIVES[preparation.objective].task, LOSS, f"{LOSS} on the validation rows")


def kto_section(evaluation: Evaluation, read_lines: ReadLines) -> Section:
    """Return what there is to show of the two kinds of answers."""
    figures, length = figures_of(evaluation), _answers(evaluation).length
    content = {
        "figures": figures,
        "kinds": [kind_row(kind, MEANINGS[kind], reward, bits) for kind, reward, bits in _kinds(figures)],
        "answers": _wrong_answers(read_lines(LINES)),
    }
    key_figures = []
    if length is not None:
        key_figures.append(
            KeyFigure(
                "Length of its own answers",
                f"{length.base:.1f}",
                f"{length.tuned:.1f}",
                "tokens; preference training often makes answers longer",
            )
        )
    return Section(
        "tutelage.objectives.kto",
        "kto.html",
        {"kto": content},
        headline=Headline(evaluation.verdict.capitalize(), evaluation.sentence, evaluation.verdict),
        links=[("kto", "Desirable answers")],
        key_figures=key_figures,
        about_metrics="The desirable answers are the references here. The margin above decides the verdict"
        " of the run; of these metrics only the marked one counts,",
    )


def figures_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of the margin and of both kinds of answers."""
    found = _answers(evaluation).figures
    assert found is not None, "KTO is evaluated on labelled answers"
    return found


def _answers(evaluation: Evaluation) -> AnswerEvaluation:
    assert isinstance(evaluation, AnswerEvaluation), "KTO writes answers"
    return evaluation


def _kinds(figures: Mapping[str, Any]) -> list[tuple[str, float, AnswerBits]]:
    """Return each kind that the test rows have, with its mean reward and its bits per byte."""
    return [
        (kind, figures["rewards"][kind], AnswerBits.model_validate(bits))
        for kind, bits in figures["bits_per_byte"].items()
    ]


def _wrong_answers(records: Sequence[Mapping[str, Any]]) -> list[ShownAnswer]:
    """Return the answers with the lowest rewards, those of undesirable ones counted with the other sign."""

    def ahead(record: Mapping[str, Any]) -> float:
        return record["reward"] if record["label"] else -record["reward"]

    opening, ending = shared_frame([record["prompt"] for record in records])
    return [
        ShownAnswer(
            row=record["row"],
            prompt=record["prompt"].removeprefix(opening).removesuffix(ending),
            answer=record["answer"],
            kind="desirable" if record["label"] else "undesirable",
            reward=signed_text(record["reward"]),
        )
        for record in sorted(records, key=lambda record: (ahead(record), record["row"]))[:WRONG_SHOWN]
    ]


def kto_results(evaluation: Evaluation) -> list[Block]:
    """Return how both kinds of answers have moved, and the verdict."""
    return [Text(""), kinds_table(_kinds(figures_of(evaluation))), Text(""), Heading(evaluation.sentence)]


def describe_margin(figures: Mapping[str, float]) -> str | None:
    """Say what a training has come to on the validation rows; nothing where they are all of one kind."""
    if "margin" not in figures:
        return None
    return (
        f"At that step, the mean reward on the validation rows is {figures['desirable_reward']:+.2f} for desirable"
        f" and {figures['undesirable_reward']:+.2f} for undesirable answers, a margin of"
        f" {figures['margin']:+.2f}; the KL term is {figures['kl']:.2f} nats."
    )


REPORT = ReportPart(
    words=kto_words,
    section=kto_section,
    results=kto_results,
    question=choose_own_question,
    steps=answering_steps,
    describe_validation=describe_margin,
)
