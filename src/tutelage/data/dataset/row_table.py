"""The table of prepared rows: 48 bytes for each row, which say where its ids and its text end and how they are cut."""

import struct

import numpy as np

from tutelage.tree.examples import Example

# Of each row its number in the source, where its ids, its text and its earlier spans end, how its ids are cut, and its
# label. A label takes eight bytes, so that the columns of every row stay aligned.
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
    """Return the entry of an example."""
    label = WITHOUT_LABEL if example.label is None else example.label
    ends = ids_end, text_end, spans_end
    return _PACKED.pack(example.row, *ends, example.prompt_tokens, example.supervised, label)


def check_length(ends: np.ndarray, length: int) -> None:
    """Raise ValueError where what ends at these places is not as long as its file: (rows,)."""
    if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != length:
        raise ValueError("its length does not match the table of its rows")


def predicts_label(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Tell whose label is the target, from how many ids each row has, and not a judgement of an answer: (rows,)."""
    return (table["label"] != WITHOUT_LABEL) & (table["prompt_tokens"] == ids)


def check_counts(table: np.ndarray) -> None:
    """Raise ValueError where a row cannot be an example: (rows,) of ROW."""
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
