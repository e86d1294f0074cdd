"""The replies that a judge has given, kept in a file that grows by a line at a time."""

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from tutelage.llm.server_responses import Reply
from tutelage.system.storage import storage_faults

NOTHING = Reply("")


class CachedResponses:
    """Replies by the key of their question, read at the start and written as they come; several threads may use it.

    A line that was cut short by a crash is passed over: its question is asked again. So that it spoils no other, each
    line begins with the line break.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path = folder / f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:32]}.jsonl"
        self._lock = threading.Lock()
        self._replies = _read(self._path)

    def get(self, key: str) -> str | None:
        """Return the text of the reply to a question, or None where there is none yet."""
        reply = self._replies.get(key)
        return None if reply is None else reply.text

    def recall(self, key: str) -> Reply | None:
        """Return the reply with all that is told of it but its tokens, or None where there is none yet."""
        return self._replies.get(key)

    def keep(self, key: str, text: str, reply: Reply = NOTHING) -> None:
        """Keep a text and what else is told of its reply, on disk before this returns."""
        facts = {
            "model": reply.model,
            "is_cut": reply.is_cut or None,
            "has_thought": reply.has_thought or None,
            "left_out": list(reply.left_out) or None,
        }
        kept = {"key": key, "reply": text} | {name: fact for name, fact in facts.items() if fact is not None}
        with self._lock, storage_faults(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(kept)}")
            self._replies[key] = replace(reply, text=text, input_tokens=None, output_tokens=None)


def _read(path: Path) -> dict[str, Reply]:
    if not path.exists():
        return {}
    with storage_faults(path):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found = [_parse(line) for line in lines]
    return {key: reply for key, reply in found if key}


def _parse(line: str) -> tuple[str, Reply]:
    try:
        kept = json.loads(line)
        return str(kept["key"]), Reply(
            str(kept["reply"]),
            model=_text(kept.get("model")),
            is_cut=kept.get("is_cut") is True,
            has_thought=kept.get("has_thought") is True,
            left_out=tuple(map(str, kept.get("left_out") or ())),
        )
    except (ValueError, LookupError, TypeError):
        return "", NOTHING


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
