"""Print the requests to a language model, and the rows that were rejected."""

from typing import TYPE_CHECKING

from tutelage.cli.views import console
from tutelage.stages.data.generate import Generated

if TYPE_CHECKING:
    from tutelage.data.synthetic.cached_model import RememberingModel


def show_requests(model: "RememberingModel") -> None:
    """Print the number of requests."""
    known = f" Answered from the cache: {model.remembered:,}." if model.remembered else ""
    console.print_message(f"Requests to {model.name}: {model.asked:,}.{known}")


def show_rejected(made: Generated) -> None:
    """Print the reasons for rejected rows, most frequent first."""
    if made.refused:
        counted = [
            [f"{count:,}", reason] for reason, count in sorted(made.refused.items(), key=lambda one: -one[1])
        ]
        console.table(["not taken", "reason"], counted, numeric=(0,))
