"""What the page shows of a preference tuning: its figures, and the pairs on which it went the wrong way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import Recipe
from tutelage.evaluation.next_steps import answering_steps
from tutelage.evaluation.stats.clusters import shared_frame
from tutelage.objectives.answer_kinds import KindRow, kind_row, kinds_table, signed_text
from tutelage.objectives.preference.losses import load_loss
from tutelage.objectives.results import Block, Heading, Text
from tutelage.objectives.sft.report import choose_own_question
from tutelage.objectives.spec import ReadLines, ReportPart
from tutelage.report.headline import Headline, KeyFigure
from tutelage.report.objective import ObjectiveWords, Section
from tutelage.run.artifacts import Preparation
from tutelage.run.evaluation import (
    AnswerEvaluation,
    Evaluation,
    LengthFigures,
    PreferenceAnswer,
    PreferenceFigures,
)
from tutelage.run.folder import PREFERENCES

WRONG_SHOWN = 5

MEANINGS: Mapping[PreferenceAnswer, str] = {
    "chosen": "the preferred answer; fewer bits per byte mean a higher probability",
    "rejected": "the other answer",
}


@dataclass(frozen=True)
class ShownPair:
    """A test pair with how far the tuned model moved towards the chosen answer, negative where away from it."""

    row: int
    prompt: str
    chosen: str
    rejected: str
    margin: str


@dataclass(frozen=True)
class Preference:
    """`figures` are those of metrics.json; `pairs` begin with those on which the model moved the wrong way most."""

    figures: PreferenceFigures
    kinds: list[KindRow]
    pairs: list[ShownPair]


def preference_words(preparation: Preparation, recipe: Recipe | None) -> ObjectiveWords:
    """Return the words for the losses and pairs of a preference tuning; without a recipe the loss has no name."""
    axis = load_loss(recipe.preference.loss).axis if recipe else "loss per pair"
    return ObjectiveWords(
        OBJECTIVES[preparation.objective].task,
        axis,
        f"{axis} on the validation pairs",
        rows="pairs",
        lengths="tokens in a prompt with one answer",
        counted="answers",
        tree_rows=", each with both of its answers,",
        tree_leaf="answer",
    )


def preference_section(evaluation: Evaluation, read_lines: ReadLines) -> Section:
    """Return what there is to show of the preferences."""
    figures, word = preferences_in(evaluation), evaluation.verdict
    return Section(
        "tutelage.objectives.preference",
        "preference.html",
        {
            "preference": Preference(
                figures=figures,
                kinds=[
                    kind_row(name, meaning, figures.rewards[name], figures.bits_per_byte[name])
                    for name, meaning in MEANINGS.items()
                ],
                pairs=_pairs(read_lines(PREFERENCES)),
            )
        },
        headline=Headline(word.capitalize(), evaluation.sentence, word),
        links=[("preference", "Preferences")],
        key_figures=_key_figures(figures, _answers(evaluation).length),
        about_metrics="The chosen answers are the references here. The preferences above decide the verdict"
        " of the run; of these metrics only the marked one counts,",
    )


def preferences_in(evaluation: Evaluation) -> PreferenceFigures:
    """Return the figures of the preferences."""
    found = _answers(evaluation).preference
    assert found is not None, "a preference tuning is evaluated on pairs"
    return found


def _answers(evaluation: Evaluation) -> AnswerEvaluation:
    assert isinstance(evaluation, AnswerEvaluation), "a preference tuning writes answers"
    return evaluation


def _pairs(records: Sequence[Mapping[str, Any]]) -> list[ShownPair]:
    opening, ending = shared_frame([record["prompt"] for record in records])
    return [
        ShownPair(
            row=record["row"],
            prompt=record["prompt"].removeprefix(opening).removesuffix(ending),
            chosen=record["chosen"],
            rejected=record["rejected"],
            margin=signed_text(record["margin"]),
        )
        for record in sorted(records, key=lambda record: (record["margin"], record["row"]))[:WRONG_SHOWN]
    ]


def _key_figures(figures: PreferenceFigures, length: LengthFigures | None) -> list[KeyFigure]:
    likelier = figures.chosen_likelier
    before, after = (f"{100 * variant.value:.1f} %" for variant in (likelier.base, likelier.tuned))
    found = [
        KeyFigure(
            "Chosen answer more likely",
            before,
            after,
            "share of the test pairs; chance is 50 %",
        )
    ]
    if length is not None:
        before, after = (f"{tokens:.1f}" for tokens in (length.base, length.tuned))
        found.append(
            KeyFigure(
                "Length of its own answers",
                before,
                after,
                "tokens; preference training often makes answers longer",
            )
        )
    return found


def preference_results(evaluation: Evaluation) -> list[Block]:
    """Return towards which answers the model moved, and the verdict."""
    found = preferences_in(evaluation)
    return [
        Text(""),
        kinds_table((side, found.rewards[side], bits) for side, bits in found.bits_per_byte.items()),
        Text(f"The mean margin between the rewards is {found.margin.mean:+.2f}."),
        Text(""),
        Heading(evaluation.sentence),
    ]


def describe_margins(figures: Mapping[str, float]) -> str | None:
    """Say what a training has come to on the validation pairs."""
    ties = f" and {figures['ties']:.0%} are ties (margin within rounding error)" if figures["ties"] else ""
    return (
        f"At that step, {figures['accuracy']:.0%} of the validation pairs favour the chosen answer{ties}; the mean"
        f" margin is {figures['margin']:+.2f} (mean rewards {figures['chosen_reward']:+.2f} for chosen and"
        f" {figures['rejected_reward']:+.2f} for rejected answers)."
    )


def describe_accuracy(figures: Mapping[str, float]) -> str:
    """Say on how many of some pairs the model moved towards the chosen answer."""
    return f"{figures['accuracy']:.0%} right"


REPORT = ReportPart(
    words=preference_words,
    section=preference_section,
    results=preference_results,
    question=choose_own_question,
    steps=answering_steps,
    describe_validation=describe_margins,
    describe_step=describe_accuracy,
)
