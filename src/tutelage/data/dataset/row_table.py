"""The table of prepared rows: 48 bytes per row for the positions of its ids and text, its token counts and
label.
"""

import struct

import numpy as np

from tutelage.tree.examples import Example

# Per row: number in the source, ends of its ids, text and earlier spans, token counts, and label. The label
# takes eight bytes to keep all columns aligned.
ROW = np.dtype(
    [
        ("row", "<i8"),
        ("ids_end", "<i8"),
        ("text_end", "<i8"),
        ("spans_end", "<i8"),
        ("prompt_tokens", "<i4"),
        ("supervised", "<i4"),
        ("label", "<i8"),
    ]
)
_PACKED = struct.Struct("<qqqqiiq")
WITHOUT_LABEL = -1


def pack_row(example: Example, *, ids_end: int, text_end: int, spans_end: int) -> bytes:
    """Return the table entry of an example."""
    label = WITHOUT_LABEL if example.label is None else example.label
    ends = ids_end, text_end, spans_end
    return _PACKED.pack(example.row, *ends, example.prompt_tokens, example.supervised, label)


def check_length(ends: np.ndarray, length: int) -> None:
    """Raise ValueError if `ends`, (rows,), is inconsistent with the length of the file."""
    if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != length:
        raise ValueError("its length does not match the table of its rows")


def predicts_label(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return whether each row's label is a target, rather than a rating of its answer, given its number of ids:
    (rows,).
    """
    return (table["label"] != WITHOUT_LABEL) & (table["prompt_tokens"] == ids)


def check_counts(table: np.ndarray) -> None:
    """Raise ValueError if a row of the table, (rows,) of ROW, is not a valid example."""
    ids, label = np.diff(table["ids_end"], prepend=0), table["label"]
    is_class = predicts_label(table, ids)
    for column in ("supervised", "prompt_tokens"):
        wrong = (table[column] < 1) | (table[column] >= ids + is_class)
        if wrong.any():
            raise ValueError(f"row {table['row'][wrong][0]} has fewer ids than its token counts")
    wrong = np.where(
        is_class, (label < 0) | (table["supervised"] != 1), (label < WITHOUT_LABEL) | (label > 1)
    )
    if wrong.any():
        raise ValueError(f"row {table['row'][wrong][0]} has a label that does not match its token counts")
