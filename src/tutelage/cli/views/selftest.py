"""Print how far each way to run a step is from one example at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.cli.views import console

if TYPE_CHECKING:
    from tutelage.training.equivalence import StepComparison


def show_selftest(found: "Sequence[StepComparison]") -> None:
    """Print one line per way, and explain the numbers."""
    console.table(
        ["type", "way", "loss", "gradients", ""],
        [
            [
                one.dtype,
                one.way,
                f"{one.loss:.1e}",
                f"{one.gradients:.1e}",
                "" if one.is_within else "differs",
            ]
            for one in found
        ],
        numeric={2, 3},
    )
    console.print_message(
        "\nDifference from one example at a time in float32: loss in nats per token, adapter gradients"
        " relative to their norm. bfloat16 rounds the same in every way."
    )
    if not any(one.over_trees for one in found):
        note = "this model cannot run over prefix trees, so it would be trained on padded rows."
        console.note("model.padded_rows", note)
