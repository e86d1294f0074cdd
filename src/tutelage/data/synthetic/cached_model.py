"""Ask a language model with a cache, so that no question is asked twice."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tutelage.errors import LanguageModelError
from tutelage.llm.language_models import ChatModel
from tutelage.llm.model_names import parse_model_name
from tutelage.llm.reply_texts import unwrapped
from tutelage.run.folder import write_json
from tutelage.system.fetching import file_sha256

Messages = list[dict[str, str]]


class RememberingModel:
    """Asks a model, or returns the cached reply to the same question.

    This makes long jobs resumable: after an interruption, the same command only asks the remaining questions,
    and the model is not loaded if there are none. `asked` and `remembered` count new and cached replies.
    """

    def __init__(
        self,
        name: str,
        load_model: Callable[[], ChatModel],
        *,
        cache: Path,
        temperature: float,
        max_tokens: int,
    ) -> None:
        parts = parse_model_name(name)
        self.name = f"{parts.kind}:{parts.model}"  # without its location, which may be private
        self.asked = self.remembered = 0
        self._fingerprint = fingerprint_of(name)
        self._open = load_model
        self._model: ChatModel | None = None
        self._folder = cache / "responses"
        self._temperature, self._max_tokens = temperature, max_tokens

    def ask(self, messages: Messages, *, seed: int, json_schema: dict[str, Any]) -> str:
        """Return the text of the reply; raise LanguageModelError if there is none."""
        path = self._path(messages, seed, json_schema)
        reply = _reply_in(path)
        if reply is not None:
            self.remembered += 1
            return reply
        self._model = self._model or self._open()
        try:
            reply = self._model.ask(
                messages,
                seed=seed,
                temperature=self._temperature,
                max_tokens=self._max_tokens,
                json_schema=json_schema,
            ).text
        except LanguageModelError as fault:
            kept = self.asked + self.remembered
            told = (
                (f" The {kept:,} responses so far are kept. Run the same command again to resume.")
                if kept
                else ""
            )
            raise LanguageModelError(fault.code, f"{fault}{told}") from fault
        reply = reply.encode("utf-8", "replace").decode()  # lone surrogates cannot be written as UTF-8
        write_json(path, {"model": self.name, "messages": messages, "reply": reply})
        self.asked += 1
        return reply

    def _path(self, messages: Messages, seed: int, json_schema: dict[str, Any]) -> Path:
        question = [self._fingerprint, messages, seed, self._temperature, self._max_tokens, json_schema]
        return self._folder / f"{hashlib.sha256(json.dumps(question).encode()).hexdigest()}.json"


def fingerprint_of(name: str) -> str:
    """Return what identifies a model: its name, or the hash of its file."""
    parts = parse_model_name(name)
    path = Path(parts.place).expanduser()
    return file_sha256(path) if parts.kind == "gguf" and path.is_file() else name


def _reply_in(path: Path) -> str | None:
    """Return the cached reply, or None if the file is missing or unreadable."""
    try:
        reply = json.loads(path.read_text(encoding="utf-8"))["reply"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return reply if isinstance(reply, str) else None


def texts_of(reply: str, *fields: str) -> dict[str, str] | None:
    """Return text fields of a reply that is a JSON object; None if it is not, or lacks one."""
    try:
        value = json.loads(unwrapped(reply))
    except (ValueError, RecursionError):
        return None
    return texts_in(value, *fields)


def texts_in(value: Any, *fields: str) -> dict[str, str] | None:
    """Return text fields of an object; None if one is missing or not text."""
    if not isinstance(value, dict) or not all(isinstance(value.get(field), str) for field in fields):
        return None
    return {field: value[field].strip() for field in fields}


def object_schema(*fields: str) -> dict[str, Any]:
    """Return the JSON schema of an object with exactly these text fields."""
    return {
        "type": "object",
        "properties": {field: {"type": "string"} for field in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
