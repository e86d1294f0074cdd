"""Convert Arrow columns, from Parquet or the Hub, to rows of JSON values.

Missing values (null, NaN, NaT, class -1) become None. Class numbers become the names in the file's metadata;
dates, times, UUIDs and decimals with a fraction become text. Values that cannot be read become `Unreadable`,
and values that JSON cannot represent stay as they are: both are errors if a field of the row's format contains
them.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tutelage.data.rows.reading import Unreadable

if TYPE_CHECKING:
    import pyarrow

Convert = Callable[[Any], Any]
ReadRows = Callable[["pyarrow.RecordBatch | pyarrow.Table"], list[dict[str, Any]]]

NO_CLASS = -1  # written by `datasets` if the class of a row is unknown


def row_reader(schema: "pyarrow.Schema") -> ReadRows:
    """Return a function that converts batches of a schema to rows."""
    features = _features(schema.metadata or {})
    converts = [_converter(field.type, features.get(field.name)) for field in schema]

    def rows_of(batch: "pyarrow.RecordBatch | pyarrow.Table") -> list[dict[str, Any]]:
        columns = [
            _values(column) if convert is None else [_converted(value, convert) for value in _values(column)]
            for column, convert in zip(batch.columns, converts, strict=True)
        ]
        if not columns:
            return [{} for _ in range(batch.num_rows)]
        return [dict(zip(schema.names, values, strict=True)) for values in zip(*columns, strict=True)]

    return rows_of


def _features(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return the column features that `datasets` stored in the file, or {} if there are none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, LookupError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _values(column: Any) -> list[Any]:
    import pyarrow  # noqa: PLC0415 - half a second that other kinds of files need not wait for

    faults = (pyarrow.ArrowException, ValueError, ArithmeticError, LookupError)
    try:
        return column.to_pylist()
    except faults:
        return [_value(scalar, faults) for scalar in column]


def _value(scalar: Any, faults: tuple[type[Exception], ...]) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as fault:
        byte = fault.object[fault.start]
        return Unreadable(
            "data.wrong_encoding", f"the byte 0x{byte:02x}, which is not valid UTF-8", "Save it as UTF-8."
        )
    except faults as fault:
        reason = str(fault).strip().split("\n")[0].rstrip(".")
        return _not_json(f"a {scalar.type} that cannot be read ({reason})")


def _not_json(what: str) -> Unreadable:
    return Unreadable("data.not_json_value", what, "Write that column as text.")


def _converted(value: Any, convert: Convert) -> Any:
    return value if value is None or isinstance(value, Unreadable) else convert(value)


def _converter(type: "pyarrow.DataType", feature: Any) -> Convert | None:
    """Return a function that converts non-null values to JSON values; None if they need no conversion or allow
    none.
    """
    from pyarrow import types  # noqa: PLC0415 - as above

    if types.is_dictionary(type) or types.is_run_end_encoded(type):
        return _converter(type.value_type, feature)
    if types.is_struct(type):
        return _struct_converter(type, feature)
    if types.is_map(type):
        return partial(_object, convert=_converter(type.item_type, None))
    if hasattr(type, "value_field"):  # all kinds of lists
        convert = _converter(type.value_type, _feature_of_items(feature))
        return convert and partial(_list, convert=convert)
    names = _class_names(feature)
    if names is not None and (types.is_integer(type) or types.is_floating(type)):
        return partial(_class_name, names=names)
    return _scalar_converter(type)


def _scalar_converter(type: "pyarrow.DataType") -> Convert | None:
    import pyarrow  # noqa: PLC0415 - as above
    from pyarrow import types  # noqa: PLC0415

    if types.is_floating(type):
        return partial(_number, kind=type.to_pandas_dtype())
    if types.is_decimal(type):
        return int if type.scale <= 0 else "{:f}".format
    if types.is_temporal(type) and not (types.is_duration(type) or types.is_interval(type)):
        return _iso
    return str if isinstance(type, pyarrow.UuidType) else None


def _number(value: float, kind: type) -> float | None:
    """Return a float with the digits of its own precision: float32 0.1 becomes 0.1, not 0.10000000149."""
    return None if math.isnan(value) else float(str(kind(value)))


def _iso(value: Any) -> str | None:
    return value.isoformat() if value == value else None  # noqa: PLR0124 - true for pandas' NaT


def _class_name(value: float, names: list[str]) -> str | Unreadable | None:
    if value == NO_CLASS or math.isnan(value):
        return None
    if value in range(len(names)):
        return names[int(value)]
    known = f"the file only names the classes 0 to {len(names) - 1}"
    return Unreadable("data.unknown_class", f"the class {value}, but {known}", "Fix it, or name the class.")


def _class_names(feature: Any) -> list[str] | None:
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return list(map(str, names)) if isinstance(names, list) and names else None


def _feature_of_items(feature: Any) -> Any:
    """Return the feature of list items; older versions of `datasets` stored it in a list of one."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, dict) else None


def _feature_of_field(feature: Any, name: str) -> Any:
    """Return the feature of a struct field; `datasets` stores a list of objects as an object of lists."""
    if not isinstance(feature, dict):
        return None
    items = feature.get("feature") if feature.get("_type") == "Sequence" else None
    return [items.get(name)] if isinstance(items, dict) else feature.get(name)


def _struct_converter(type: "pyarrow.DataType", feature: Any) -> Convert | None:
    converts = {field.name: _converter(field.type, _feature_of_field(feature, field.name)) for field in type}
    needed = {name: convert for name, convert in converts.items() if convert is not None}
    return partial(_fields, converts=needed) if needed else None


def _fields(value: dict[str, Any], converts: Mapping[str, Convert]) -> dict[str, Any]:
    return value | {name: _converted(value[name], convert) for name, convert in converts.items()}


def _list(value: Any, convert: Convert) -> list[Any]:
    return [_converted(item, convert) for item in value]


def _object(pairs: list[tuple[Any, Any]], convert: Convert | None) -> Any:
    """Return a map as an object if its keys are distinct texts."""
    found = {key: value if convert is None else _converted(value, convert) for key, value in pairs}
    if len(found) != len(pairs) or not all(isinstance(key, str) for key in found):
        return _not_json("a map whose keys are not distinct texts")
    return found
