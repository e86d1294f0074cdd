"""Whether how a step is cut and run changes nothing, on a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.errors import ModelError
from tutelage.stages.inputs import Inputs
from tutelage.stages.prepare import prepare_aside
from tutelage.stages.reporter import Reporter

if TYPE_CHECKING:
    from tutelage.training.equivalence import StepComparison

ROWS = 8


def selftest(inputs: Inputs, reporter: Reporter) -> "list[StepComparison]":
    """Run one step of eight rows in every way, and return how far each is from one example at a time."""
    source = inputs.source
    examples = list(prepare_aside(inputs, reporter).splits["train"].examples[:ROWS])
    with reporter.waiting("Loading the model"):
        from tutelage.training.equivalence import compare_ways, count_ways
    advance = reporter.progress("Comparing", count_ways(examples))
    found = []
    for comparison in compare_ways(source, examples):
        found.append(comparison)
        advance(1)
    return found


def require_equal_steps(found: "Sequence[StepComparison]", model: str) -> None:
    """Stop where a way gives another step than one example at a time."""
    wrong = [one for one in found if not one.is_within]
    if wrong:
        raise ModelError(
            "model.selftest_failed",
            f"{len(wrong)} of {len(found)} ways give a different step than one example at a time. Do not"
            f" fine-tune {model} on this machine; please report its name and this table.",
        )
