"""Print the label of a text."""

from collections.abc import Mapping
from typing import Any

from tutelage.cli.views import console


def show_label(found: Mapping[str, Any]) -> None:
    """Print the predicted label and its probability."""
    from tutelage.data.quality.label_names import quoted

    predicted = quoted(found["predicted"]) if found["predicted"] else "(none)"
    console.print_message(f"{predicted}  {found['probability']:.3f}")
