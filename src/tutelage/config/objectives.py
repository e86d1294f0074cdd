"""Objectives as recipes and row readers see them, before anything is loaded: one entry each.

Everything else that differs between objectives is in `objectives/<name>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tutelage.config.inactive_settings import IN_CLASSIFICATION, OF_BASELINES, OF_LABELS, Names

Gives = Literal["answers", "labels"]

# The settings in [preference] that only one of its two objectives uses.
OF_PAIRS: Names = (
    "preference.loss",
    "preference.label_smoothing",
    "preference.length_normalized",
    "preference.gamma",
)
OF_KTO: Names = ("preference.desirable_weight", "preference.undesirable_weight")


@dataclass(frozen=True)
class ObjectiveInfo:
    """Name, row format and settings of an objective.

    `row_format` is the only accepted format; None accepts any rows with answers. `unit` is what training
    counts, and `loss_unit` the unit of the loss. `gives` is what the model returns for a text, `command` the
    command for that; `prompted_with` and `usage` describe it in a model card.

    `settings`, whole tables in `sections`, and `values` of other settings belong to this objective; others only
    have them if they name them too. Of these, `changes_no_answer` do not affect the comparability of runs.
    `ignores` lists shared settings without effect, `refused` unsupported values, and `barred` unsupported
    settings with the reason.
    """

    name: str
    task: str
    help: str
    loss_unit: str
    row_format: str | None = None
    columns: str = "what is asked and what is answered"
    unit: str = "examples"
    tag: str = "instruction-tuning"  # on model hubs
    gives: Gives = "answers"
    library: str = "transformers"  # loads the model if all weights are trained
    prompted_with: str = "the prompt template `{prompt}`"
    command: str = "generate"
    usage: str = 'Prompt it with the template that it was trained with: `data.prompt_template = "{prompt}"`.'
    fields_beside: Names = ()  # of its rows, in addition to those of their format
    settings: Names = ()
    sections: Names = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    changes_no_answer: Names = ()
    ignores: Names = ()
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    barred: Mapping[str, str] = field(default_factory=dict)

    @property
    def inactive(self) -> Names:
        """Settings without effect: ignored ones, and those of other objectives in tables that this one shares."""
        others = OBJECTIVES.values()
        foreign = {section for other in others for section in other.sections} - {*self.sections}
        of_others = dict.fromkeys(name for other in others for name in other.settings)
        unknown = (name for name in of_others if name not in self.settings)
        return (*self.ignores, *(name for name in unknown if name.split(".")[0] not in foreign))

    def has_effect(self, setting: str) -> bool:
        """Return whether a setting, named `section.name`, has any effect."""
        return setting not in self.inactive


_ENTRIES = (
    ObjectiveInfo(
        name="instruction",
        task="instruction tuning",
        help="trains the model to give the answers of your rows",
        loss_unit="nats per token",
        settings=OF_BASELINES,
        changes_no_answer=OF_BASELINES,
    ),
    ObjectiveInfo(
        name="classification",
        task="classification",
        help="trains a classification head on labeled texts",
        loss_unit="nats per text",
        row_format="text-label",
        columns="a text and its label",
        tag="text-classification",
        gives="labels",
        command="classify",
        library="tutelage",
        prompted_with="the text alone",
        usage="It predicts labels and writes no answers: use `tutelage classify` with the run's folder.",
        settings=OF_LABELS,
        changes_no_answer=("evaluation.zero_shot",),
        ignores=IN_CLASSIFICATION,
        values={
            "training.method": ("last-block", "last-two-blocks", "head"),
            "data.split": ("stratified",),
        },
        barred={
            "model.adapter": "a classification starts with a new adapter under its head: leave it out, or"
            " export the run with `--to hf` and set model.name_or_path to it"
        },
    ),
    ObjectiveInfo(
        name="dpo",
        task="preference tuning",
        help="makes the chosen answer of a pair more probable than the rejected one",
        loss_unit="per pair",
        row_format="preference",
        unit="pairs",
        settings=OF_PAIRS,
        sections=("preference",),
        refused={"data.train_on": ("all",)},
    ),
    ObjectiveInfo(
        name="kto",
        task="preference tuning by labels (KTO)",
        help="makes desirable answers more probable and undesirable ones less",
        loss_unit="per answer",
        columns="what is asked, what is answered, and a label that is true or false",
        unit="answers",
        fields_beside=("kto_tag", "label"),
        settings=OF_KTO,
        sections=("preference",),
        refused={"data.train_on": ("all",)},
    ),
)
OBJECTIVES: dict[str, ObjectiveInfo] = {one.name: one for one in _ENTRIES}
DEFAULT = _ENTRIES[0]


def objective_of_rows(format: str) -> str:
    """Return the name of the objective that requires a row format."""
    return next(name for name, one in OBJECTIVES.items() if one.row_format == format)


def objective_that_reads(field: str) -> str:
    """Return the name of the objective that reads an additional field."""
    return next(name for name, one in OBJECTIVES.items() if field in one.fields_beside)


def describe_objectives() -> str:
    """Return a description of all objectives for help texts."""
    return "; ".join(f"`{name}` {one.help}" for name, one in OBJECTIVES.items()) + "."
