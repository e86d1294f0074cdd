"""Rows of a data set of the Hugging Face hub, or of a folder like one, through `datasets`."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tutelage.codes import Message
from tutelage.data.arrow_rows import json_bytes, text_bytes
from tutelage.data.records import NO_LIMIT, OpenSource, Record
from tutelage.errors import DataError

HUB_PREFIX = "hf:"
ROWS_AT_ONCE = 1_000


def open_hub(name: str, *, split: str, max_row_bytes: int = NO_LIMIT) -> OpenSource:
    """Open one split of `hf:owner/name`, `hf:owner/name@revision` or `hf:./folder`.

    A row above `max_row_bytes` has its size and no value; the size is measured as that of a row of Parquet.
    """
    import datasets  # noqa: PLC0415 - two seconds, and only for this kind of source

    place, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(place, split=split, revision=revision or None)
    except Exception as fault:  # `datasets` fails with anything from OSError to its own kinds
        raise DataError(
            "data.hub_unavailable",
            f"The data set {place!r} could not be had: {_one_line(fault)} Check its name, its revision, the network,"
            " and data.hub_split.",
        ) from fault

    unpinned = f"No revision was named: {place} may change. Pin it as {name}@<commit>."
    notes = [] if revision else [Message("data.hub_revision_not_pinned", unpinned)]
    records = partial(_records, loaded, max_row_bytes)
    return OpenSource(name, _sha256(loaded), records, notes, f"a data set ({split})")


def _records(loaded: Any, max_row_bytes: int) -> Iterator[Record]:
    row = 0
    for begin in range(0, len(loaded), ROWS_AT_ONCE):
        part = loaded.select(range(begin, min(begin + ROWS_AT_ONCE, len(loaded))))
        texts = np.concatenate([text_bytes(batch) for batch in part.with_format("arrow")[:].to_batches()])
        fitting = iter(part.select(np.flatnonzero(texts <= max_row_bytes)))
        for of_texts in texts.tolist():
            value = next(fitting) if of_texts <= max_row_bytes else None
            size = of_texts if value is None else json_bytes(value)
            was_read = size <= max_row_bytes
            yield Record(row, None, value if was_read else None, size=size, was_read=was_read)
            row += 1


def _sha256(values: Iterable[Any]) -> str:
    # Of rows of any size, so that it does not depend on data.max_row_bytes.
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, ensure_ascii=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def _one_line(fault: Exception) -> str:
    said: Any = str(fault).strip().split("\n")[0]
    return said if said.endswith(".") else f"{said or type(fault).__name__}."
