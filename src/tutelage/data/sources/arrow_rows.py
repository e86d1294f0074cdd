"""Read rows from Arrow batches, measuring each row before it becomes Python objects, so that oversized ones
never do.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tutelage.data.rows.records import Record
from tutelage.data.sources.arrow_values import ReadRows
from tutelage.errors import DataError

HIGHEST_RATIO = 100  # ordinary text never compresses this well
RATIO_COUNTS_FROM = 10 * 2**20  # unpacked bytes; below this, any ratio is harmless
MOST_AT_ONCE = 2**24  # bytes of text held as Python objects at once
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
EXPANDING = {"DELTA_BYTE_ARRAY"}  # encodings that store only the difference from the previous value


def records_of(batch: Any, first_row: int, rows_of: ReadRows, *, max_row_bytes: int) -> Iterator[Record]:
    """Yield the rows that `rows_of` returns for a record batch; a row above `max_row_bytes` has a size but no
    value.

    The size of a row is that of its texts, known before conversion, or, if that is within the limit, its size
    as UTF-8 JSON.
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
    """Return the size of a value as UTF-8 JSON; values that JSON cannot represent count as their text."""
    text = _JSON.encode(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def text_bytes(batch: Any) -> np.ndarray:
    """Return the size of all texts in each row of a record batch: (rows,) bytes."""
    return sum((_bytes_of(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))


def _bytes_of(array: Any) -> np.ndarray:
    """Return the size of the texts in each value of an Arrow array, at any depth."""
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
    if array.null_count:  # data behind a null does not count
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
    # Measure only the texts used in this batch: a dictionary is shared by many batches.
    ends = np.frombuffer(dictionary.buffers()[1], np.int64 if is_large else np.int32)[dictionary.offset :]
    return ends[places + 1].astype(np.int64) - ends[places]


def check_compression(metadata: Any, name: str, *, file_bytes: int, max_bytes: int) -> None:
    """Raise DataError before unpacking if the footer of a Parquet file announces too much data."""
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
    # A value takes at least one byte as JSON; a run of equal values takes none in the file.
    if max(unpacked, values, metadata.num_rows) > max_bytes:
        raise too_large(name, max_bytes)


def too_large(name: str, max_bytes: int) -> DataError:
    """Return the error for a file that unpacks to too much data."""
    return DataError(
        "data.file_too_large",
        f"{name} unpacks to more than {max_bytes:,} bytes. Split it, or raise data.max_file_bytes.",
    )


def repeated_columns(metadata: Any) -> list[str]:
    """Return the dictionary-encoded text columns, so that each distinct text is also stored once in memory."""
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
    """Return how many rows may be unpacked together: one if a column's encoding can expand few bytes to many."""
    encodings: set[str] = {
        encoding
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
        for encoding in metadata.row_group(group).column(place).encodings
    }
    return 1 if encodings & EXPANDING else most


def _is_text(column: Any) -> bool:
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE", "JSON")
