"""What some rows are, in numbers; nothing is judged."""

from typing import TYPE_CHECKING

from tutelage.stages.data.rows import SourceRows, count_tokens
from tutelage.stages.inputs import Inputs

if TYPE_CHECKING:
    from tutelage.data.lint.description import Description


def describe(rows: SourceRows, inputs: Inputs) -> "Description":
    """Count rows, fields, turns, languages, lengths and near-duplicates; tokens where the model is on this machine."""
    from tutelage.data.lint.description import describe as describe_rows

    read = rows.conversations
    tokens: list[int] = []
    if inputs.has_model():
        inputs.warn_of_larger_tokenizer()
        tokens = list(count_tokens(rows, rows.checked(), inputs.renderer).values())
    return describe_rows(rows.source.records, read.rows, read.formats, tokens=tokens)
