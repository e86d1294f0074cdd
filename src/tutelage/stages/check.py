"""What is wrong with some data, and what they are for the model; nothing is written."""

from typing import TYPE_CHECKING

from tutelage.codes import all_codes
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter

if TYPE_CHECKING:
    from tutelage.data.lint.report import LintReport


def check(inputs: Inputs, reporter: Reporter, *, near_duplicates: bool = True) -> "LintReport":
    """Examine the rows of a recipe's data; without the model on this machine nothing is said of tokens."""
    from tutelage.data.lint.report import lint_rows

    source = inputs.find_data()
    renderer, context = None, 0
    if inputs.has_model():
        inputs.warn_of_larger_tokenizer()
        renderer, context = inputs.renderer, inputs.context_length
    with reporter.waiting("Checking the rows"):
        return lint_rows(
            source,
            inputs.recipe.data,
            renderer,
            context_length=context,
            with_near_duplicates=near_duplicates,
            objective=inputs.recipe.objective,
            encoder=inputs.objective.rows,
        )


def what_stops(found: "LintReport") -> list[str]:
    """Return the codes of what was found at which `prepare` would stop."""
    return sorted({one.code for one in found.findings if all_codes()[one.code].stops})
