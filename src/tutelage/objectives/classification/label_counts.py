"""What a classification learns from, shown before the first step: its labels, and the token that the head reads."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.quality.label_names import quoted
from tutelage.objectives.results import Block, Heading, Table, Text

LABELS_SHOWN = 12
LONGEST_SHOWN = 50  # characters of a text


def describe_classes(training: PreparedRows, recipe: Recipe, tokenizer: Callable[[], Any]) -> list[Block]:
    """Return how many rows each label has, and the token of one row at which the head reads."""
    numbers, first, counts = np.unique(training.labels, return_index=True, return_counts=True)
    rows = [
        [quoted(training[at].response), f"{count:,}", _beginning(training[at].prompt)]
        for at, count in zip(first[:LABELS_SHOWN].tolist(), counts.tolist(), strict=False)
    ]
    blocks: list[Block] = [
        Heading("What the head learns"),
        Table(["label", "training rows", "example"], rows, numeric=[1]),
    ]
    if len(numbers) > LABELS_SHOWN:
        blocks.append(Text(f"… and {len(numbers) - LABELS_SHOWN:,} more labels."))
    row = training[int(first[0])].example
    read = tokenizer().decode([row.prompt_ids[-1]])
    told = (
        f"The head reads the {recipe.data.pooling} token of a text: in row {row.row} this is token"
        f" {row.prompt_tokens:,}, {read!r}."
    )
    return [*blocks, Text(told), Text("")]


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]} …"
