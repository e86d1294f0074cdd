"""Rows out of Arrow's batches: how large each is before it becomes objects, so that one too large never does."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tutelage.data.rows.records import Record
from tutelage.data.sources.arrow_values import ReadRows
from tutelage.errors import DataError

HIGHEST_RATIO = 100  # what packing makes of ordinary text is far below
RATIO_COUNTS_FROM = 10 * 2**20  # unpacked bytes; less does no harm, however well it was packed
MOST_AT_ONCE = 2**24  # bytes of texts that are objects at the same time
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
EXPANDING = {"DELTA_BYTE_ARRAY"}  # each value is a beginning of the one before, and more


def records_of(batch: Any, first_row: int, rows_of: ReadRows, *, max_row_bytes: int) -> Iterator[Record]:
    """Yield the rows that `rows_of` makes of a record batch; one above `max_row_bytes` has its size and no value.

    The size of a row is that of its texts, which is known while they are still Arrow's, and, if those are within the
    limit, that of the row as UTF-8 JSON.
    """
    texts = text_bytes(batch)
    is_small = int(texts.sum()) <= MOST_AT_ONCE
    values = rows_of(batch) if is_small else None
    for place, of_texts in enumerate(texts.tolist()):
        row = first_row + place
        if of_texts > max_row_bytes:
            yield Record(row, None, None, size=of_texts, is_from_arrow=True, was_read=False)
            continue
        value = values[place] if values is not None else rows_of(batch.slice(place, 1))[0]
        size = json_bytes(value)
        was_read = size <= max_row_bytes
        value = value if was_read else None
        yield Record(row, None, value, size=size, is_from_arrow=True, was_read=was_read)


def json_bytes(value: Any) -> int:
    """Return how many bytes a value takes as UTF-8 JSON; what JSON has no word for counts as its text."""
    text = _JSON.encode(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def text_bytes(batch: Any) -> np.ndarray:
    """Return the bytes of all texts in each row of a record batch: (rows,)."""
    return sum((_bytes_of(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))


def _bytes_of(array: Any) -> np.ndarray:
    """Return the bytes of the texts in each value of an Arrow array, however deep they stand in it."""
    import pyarrow  # noqa: PLC0415 - half a second that the other kinds need not wait for
    from pyarrow import compute, types  # noqa: PLC0415

    kind = array.type
    if isinstance(array, pyarrow.ExtensionArray):
        lengths = _bytes_of(array.storage)
    elif types.is_dictionary(kind):
        lengths = _bytes_in_dictionary(array.dictionary, array.indices)
    elif types.is_struct(kind):
        fields = (_bytes_of(array.field(place)) for place in range(kind.num_fields))
        lengths = sum(fields, np.zeros(len(array), np.int64))
    elif types.is_map(kind):
        lengths = _bytes_in_lists(array.offsets, _bytes_of(array.keys) + _bytes_of(array.items))
    elif types.is_list(kind) or types.is_large_list(kind):
        lengths = _bytes_in_lists(array.offsets, _bytes_of(array.values))
    elif types.is_fixed_size_list(kind):
        within = _bytes_of(array.values).reshape(-1, kind.list_size)
        lengths = within.sum(axis=1)[array.offset : array.offset + len(array)]
    elif _is_binary(kind):
        found = compute.fill_null(compute.call_function("binary_length", [array]), 0)
        lengths = found.to_numpy(zero_copy_only=False).astype(np.int64)
    else:
        lengths = np.zeros(len(array), np.int64)
    if array.null_count:  # what stands behind a null counts nothing
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    return lengths


def _is_binary(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - as above

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in (*tests, types.is_fixed_size_binary))


def _bytes_in_lists(offsets: Any, lengths: np.ndarray) -> np.ndarray:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[offsets.to_numpy()]
    return ends[1:] - ends[:-1]


def _bytes_in_dictionary(dictionary: Any, indices: Any) -> np.ndarray:
    from pyarrow import compute, types  # noqa: PLC0415 - as above

    if not len(dictionary):
        return np.zeros(len(indices), np.int64)
    places = compute.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    is_large = types.is_large_string(dictionary.type) or types.is_large_binary(dictionary.type)
    if not is_large and not types.is_string(dictionary.type) and not types.is_binary(dictionary.type):
        return _bytes_of(dictionary)[places]
    # Of the texts that stand in this batch alone: a dictionary is that of many batches.
    ends = np.frombuffer(dictionary.buffers()[1], np.int64 if is_large else np.int32)[dictionary.offset :]
    return ends[places + 1].astype(np.int64) - ends[places]


def check_compression(metadata: Any, name: str, *, file_bytes: int, max_bytes: int) -> None:
    """Stop before anything is unpacked where the footer of a Parquet file says that too much would come of it."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    unpacked = sum(column.total_uncompressed_size for column in columns)
    if unpacked > RATIO_COUNTS_FROM and unpacked > HIGHEST_RATIO * file_bytes:
        raise DataError(
            "data.compression_ratio",
            f"{name} unpacks to {unpacked:,} bytes, more than {HIGHEST_RATIO} times its size, which text"
            " never does. If you trust it, write it without compression.",
        )
    widths = [metadata.schema.column(place).length or 1 for place in range(metadata.num_columns)]
    values = sum(
        group.column(place).num_values * max(1, width)
        for group in groups
        for place, width in enumerate(widths)
    )
    # A value has at least one byte as JSON; a run of equal ones takes none in the file.
    if max(unpacked, values, metadata.num_rows) > max_bytes:
        raise too_large(name, max_bytes)


def too_large(name: str, max_bytes: int) -> DataError:
    """Return what is said of a file of which too much comes."""
    return DataError(
        "data.file_too_large",
        f"{name} unpacks to more than {max_bytes:,} bytes. Split it, or raise data.max_file_bytes.",
    )


def repeated_columns(metadata: Any) -> list[str]:
    """Return the columns of texts of which a text is kept once in the file, and should be in memory."""
    return [
        metadata.row_group(0).column(place).path_in_schema
        for place in range(metadata.num_columns if metadata.num_row_groups else 0)
        if _is_text(metadata.schema.column(place))
        and any(
            metadata.row_group(group).column(place).has_dictionary_page
            for group in range(metadata.num_row_groups)
        )
    ]


def rows_at_once(metadata: Any, most: int) -> int:
    """Return how many rows may be unpacked together: one where a column's encoding lets few bytes become many."""
    encodings: set[str] = {
        encoding
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
        for encoding in metadata.row_group(group).column(place).encodings
    }
    return 1 if encodings & EXPANDING else most


def _is_text(column: Any) -> bool:
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE", "JSON")
