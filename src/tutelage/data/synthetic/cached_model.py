"""A language model that is asked many things for a data set: no question is put twice, and their number is bounded."""

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
    """Asks a model, or gives the reply that it gave to the same question before, from a file of the cache.

    That makes a long work resumable: after an interruption the same command asks only what was not answered yet, and
    the model is not even opened where nothing is new. `asked` and `remembered` count.
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
        self.name = f"{parts.kind}:{parts.model}"  # without its place, which is nobody else's business
        self.asked = self.remembered = 0
        self._fingerprint = fingerprint_of(name)
        self._open = load_model
        self._model: ChatModel | None = None
        self._folder = cache / "responses"
        self._temperature, self._max_tokens = temperature, max_tokens

    def ask(self, messages: Messages, *, seed: int, json_schema: dict[str, Any]) -> str:
        """Return the text of the reply; LanguageModelError where there is none."""
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
        reply = reply.encode("utf-8", "replace").decode()  # half of a surrogate pair goes into no file
        write_json(path, {"model": self.name, "messages": messages, "reply": reply})
        self.asked += 1
        return reply

    def _path(self, messages: Messages, seed: int, json_schema: dict[str, Any]) -> Path:
        question = [self._fingerprint, messages, seed, self._temperature, self._max_tokens, json_schema]
        return self._folder / f"{hashlib.sha256(json.dumps(question).encode()).hexdigest()}.json"


def fingerprint_of(name: str) -> str:
    """Return what tells a model from others: its name, or for a file its bytes."""
    parts = parse_model_name(name)
    path = Path(parts.place).expanduser()
    return file_sha256(path) if parts.kind == "gguf" and path.is_file() else name


def _reply_in(path: Path) -> str | None:
    """Return the reply that a file of the cache holds; one that cannot be read is asked for again."""
    try:
        reply = json.loads(path.read_text(encoding="utf-8"))["reply"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return reply if isinstance(reply, str) else None


def texts_of(reply: str, *fields: str) -> dict[str, str] | None:
    """Return some texts of a reply that is one JSON object, or None where it is not, or lacks one of them."""
    try:
        value = json.loads(unwrapped(reply))
    except (ValueError, RecursionError):
        return None
    return texts_in(value, *fields)


def texts_in(value: Any, *fields: str) -> dict[str, str] | None:
    """Return some fields of an object, or None where one is missing or no text."""
    if not isinstance(value, dict) or not all(isinstance(value.get(field), str) for field in fields):
        return None
    return {field: value[field].strip() for field in fields}


def object_schema(*fields: str) -> dict[str, Any]:
    """Return the JSON schema of an object that has these texts and nothing else."""
    return {
        "type": "object",
        "properties": {field: {"type": "string"} for field in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
