"""Read data sets from the Hugging Face Hub, or a local folder like one, through `datasets`."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from tutelage.codes import Message
from tutelage.data.rows.records import NO_LIMIT, Record, SourceReader
from tutelage.data.sources.arrow_rows import records_of
from tutelage.data.sources.arrow_values import row_reader
from tutelage.errors import DataError

HUB_PREFIX = "hf:"
ROWS_AT_ONCE = 256


def read_hub(name: str, *, split: str, max_row_bytes: int = NO_LIMIT) -> SourceReader:
    """Open one split of `hf:owner/name`, `hf:owner/name@revision` or `hf:./folder`.

    A row above `max_row_bytes` has a size but no value; sizes are measured as for Parquet.
    """
    import datasets  # noqa: PLC0415 - takes two seconds, only for this kind of source

    place, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(place, split=split, revision=revision or None)
    except Exception as fault:  # `datasets` raises anything from OSError to its own errors
        raise DataError(
            "data.hub_unavailable",
            f"Could not load the data set {place!r} from the Hub: {_one_line(fault)} Check its name, its"
            " revision, the network, and data.hub_split.",
        ) from fault

    unpinned = f"No revision was given, so {place} may change. Pin it as {name}@<commit>."
    notes = [] if revision else [Message("data.hub_revision_not_pinned", unpinned)]
    # Hash rows of any size, so that the hash does not depend on data.max_row_bytes.
    sha256 = _sha256(_records(loaded, NO_LIMIT))
    records = partial(_records, loaded, max_row_bytes)
    return SourceReader(name, sha256, records, notes, f"a data set ({split})")


def _records(loaded: Any, max_row_bytes: int) -> Iterator[Record]:
    # Arrow format, because decoding images and audio would need other packages.
    rows_of, rows = row_reader(loaded.features.arrow_schema), 0
    for table in loaded.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
        for batch in table.to_batches():
            yield from records_of(batch, rows, rows_of, max_row_bytes=max_row_bytes)
            rows += batch.num_rows


def _sha256(records: Iterable[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record.value, ensure_ascii=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def _one_line(fault: Exception) -> str:
    said: Any = str(fault).strip().split("\n")[0]
    return said if said.endswith(".") else f"{said or type(fault).__name__}."
