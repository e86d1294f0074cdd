"""What a recipe and the readers of its rows know of each objective, before anything is loaded: one entry for each.

All else that differs between objectives stands in a folder of its own, `objectives/<name>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tutelage.config.effects import IN_CLASSIFICATION, WITHOUT_LABELS, Names

# Of the table [preference], what one of the two objectives that share it has alone.
OF_PAIRS: Names = (
    "preference.loss",
    "preference.label_smoothing",
    "preference.length_normalised",
    "preference.gamma",
)
OF_KTO: Names = ("preference.desirable_weight", "preference.undesirable_weight")


@dataclass(frozen=True)
class ObjectiveInfo:
    """What an objective is called, which rows it takes and which settings go with it.

    `row_format` is the one format of its rows, None where any answer will do. `unit` is what its training counts, and
    `loss_unit` what its loss is measured in. `inactive` names the settings without effect, `sections` the tables and
    `values` the values of other settings that no objective has unless it names them, and `refused` the values that it
    cannot honour.
    """

    name: str
    task: str
    help: str
    loss_unit: str
    row_format: str | None = None
    columns: str = "what is asked and what is answered"
    unit: str = "examples"
    tag: str = "instruction-tuning"  # of model hubs
    has_pairs: bool = False  # whether both answers of a row are trained on
    judges_answers: bool = False  # whether a label says of each answer if it is desirable
    writes_answers: bool = True  # whether the model answers prompts, rather than read a text alone
    inactive: Names = ()
    sections: Names = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_ENTRIES = (
    ObjectiveInfo(
        name="instruction",
        task="instruction tuning",
        help="trains answers",
        loss_unit="nats per token",
        inactive=WITHOUT_LABELS,
    ),
    ObjectiveInfo(
        name="classification",
        task="classification",
        help="trains a head that gives a text its label",
        loss_unit="nats per text",
        row_format="text-label",
        columns="a text and its label",
        writes_answers=False,
        tag="text-classification",
        inactive=IN_CLASSIFICATION,
        values={
            "adapter.type": ("last-block", "last-two-blocks", "head"),
            "data.split": ("stratified",),
        },
    ),
    ObjectiveInfo(
        name="dpo",
        task="preference tuning",
        help="makes the chosen of two answers more probable than the rejected one",
        loss_unit="per pair",
        row_format="preference",
        unit="pairs",
        has_pairs=True,
        inactive=(*WITHOUT_LABELS, *OF_KTO),
        sections=("preference",),
        refused={"data.loss_on": ("everything",)},
    ),
    ObjectiveInfo(
        name="kto",
        task="preference tuning by labels (KTO)",
        help="makes answers more probable whose label is true, and others less",
        loss_unit="per answer",
        columns="what is asked, what is answered, and a label that is true or false",
        unit="answers",
        judges_answers=True,
        inactive=(*WITHOUT_LABELS, *OF_PAIRS),
        sections=("preference",),
        refused={"data.loss_on": ("everything",)},
    ),
)
OBJECTIVES: dict[str, ObjectiveInfo] = {one.name: one for one in _ENTRIES}


def objective_of_rows(format: str) -> str:
    """Return the name of the objective whose rows all have a format."""
    return next(name for name, one in OBJECTIVES.items() if one.row_format == format)


def describe_objectives() -> str:
    """Return what each objective does, for help."""
    return "; ".join(f"`{name}` {one.help}" for name, one in OBJECTIVES.items()) + "."
