"""The log of a training run: one JSON object a line, written as things happen."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.storage import storage_faults

Emit = Callable[..., None]


@contextmanager
def event_log(path: Path, listener: Callable[[dict[str, Any]], None]) -> Iterator[Emit]:
    """Give a function that writes `{"event": name, ...}` to the file at once and passes it to the listener."""
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", newline="\n")

    def emit(event: str, **fields: Any) -> None:
        record = {"event": event, **fields}
        with storage_faults(path):
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
        listener(record)

    with file:
        yield emit
