"""Rows of a data set of the Hugging Face hub, or of a folder like one, through `datasets`."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from tutelage.codes import Message
from tutelage.data.arrow_values import row_reader
from tutelage.data.records import OpenSource, Record
from tutelage.errors import DataError

HUB_PREFIX = "hf:"
ROWS_AT_ONCE = 256


def open_hub(name: str, *, split: str) -> OpenSource:
    """Open one split of `hf:owner/name`, `hf:owner/name@revision` or `hf:./folder`."""
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

    def records() -> Iterator[Record]:
        # As Arrow has them: images and sound would be decoded, for which other packages are needed.
        rows_of = row_reader(loaded.features.arrow_schema)
        batches = loaded.with_format("arrow").iter(batch_size=ROWS_AT_ONCE)
        values = (value for batch in batches for value in rows_of(batch))
        return (Record(row, None, value, is_from_arrow=True) for row, value in enumerate(values))

    unpinned = f"No revision was named: {place} may change. Pin it as {name}@<commit>."
    notes = [] if revision else [Message("data.hub_revision_not_pinned", unpinned)]
    return OpenSource(name, _sha256(records()), records, notes, f"a data set ({split})")


def _sha256(records: Iterable[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record.value, ensure_ascii=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def _one_line(fault: Exception) -> str:
    said: Any = str(fault).strip().split("\n")[0]
    return said if said.endswith(".") else f"{said or type(fault).__name__}."
