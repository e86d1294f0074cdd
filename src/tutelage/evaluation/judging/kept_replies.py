"""The replies that a judge has given, kept in a file that grows by a line at a time."""

import hashlib
import json
import threading
from pathlib import Path

from tutelage.storage import storage_faults


class KeptReplies:
    """Replies by the key of their question, read at the start and written as they come; several threads may use it.

    A line that was cut short by a crash is passed over: its question is asked again. So that it spoils no other, each
    line begins with the line break.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.jsonl"
        self._lock = threading.Lock()
        self._replies = _read(self._path)

    def get(self, key: str) -> str | None:
        """Return the reply to a question, or None where there is none yet."""
        return self._replies.get(key)

    def keep(self, key: str, reply: str) -> None:
        """Keep a reply, on disk before this returns."""
        line = json.dumps({"key": key, "reply": reply})
        with self._lock, storage_faults(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}")
            self._replies[key] = reply


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with storage_faults(path):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found = [_parse(line) for line in lines]
    return {key: reply for key, reply in found if key}


def _parse(line: str) -> tuple[str, str]:
    try:
        kept = json.loads(line)
        return str(kept["key"]), str(kept["reply"])
    except (ValueError, LookupError, TypeError):
        return "", ""
