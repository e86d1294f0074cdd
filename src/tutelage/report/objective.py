"""What the page takes of an objective: its words, and a section that it renders itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.report.headline import Headline, KeyFigure


@dataclass(frozen=True)
class ObjectiveWords:
    """How the page speaks of an objective's losses, lengths, rows and tree.

    `task` names it, `facts` are said beside it, and `rows` are its training rows. `loss_axis` stands beside the losses,
    and `loss_of` says what a validation loss is a mean of. `lengths` is the axis of the drawn lengths, `counted` that
    of how many there are. The rest are sentences and parts of them, as the page needs them.
    """

    task: str
    loss_axis: str
    loss_of: str
    facts: tuple[str, ...] = ()
    rows: str = "rows"
    lengths: str = "tokens per example"
    counted: str = "examples"
    length_note: str | None = None  # None says how many tokens are supervised
    example_note: str = (
        "The supervised tokens are highlighted and underlined; only they count in the loss. Check that the"
        " highlight begins where the answer begins, and that it includes the end-of-turn token; without it"
        " the model never learns to stop."
    )
    tree_rows: str = ""
    tree_leaf: str = "row"
    tree_end: str = "its last token is not in the tree, because nothing is predicted from it"


@dataclass(frozen=True)
class Section:
    """What an objective shows of its own evaluation: a template of its package, filled with `content`.

    `links` are anchors with their words. `about_metrics` is said beside the metrics of answers, where there are any.
    """

    package: str
    template: str
    content: Mapping[str, Any]
    headline: Headline
    links: Sequence[tuple[str, str]]
    key_figures: Sequence[KeyFigure] = field(default=())
    about_metrics: str = ""


ANSWERS = ObjectiveWords(
    "instruction tuning", "loss, nats per token", "nats per supervised token of the validation rows"
)
