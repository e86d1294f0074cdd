"""What the prepared rows of a run are made of, as hashes: where all are equal, the rows would come out the same."""

import hashlib
import json
from typing import Any

from tutelage.config.objectives import DEFAULT, ObjectiveInfo
from tutelage.config.recipe import DataSettings
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of

FORM = 3  # of the files that hold prepared rows; other ones need another number
# A prompt style is known by what it writes around these texts, whatever it is called.
PROBES = (
    single_exchange_of(0, "question", "", "answer"),
    single_exchange_of(0, "question", "input", "answer"),
    Conversation(
        0,
        (
            ChatMessage("system", "system"),
            ChatMessage("user", "question"),
            ChatMessage("assistant", "answer"),
        ),
    ),
    Conversation(0, (ChatMessage("user", "one"), ChatMessage("assistant", "two")) * 2),
    Conversation(0, (ChatMessage("assistant", "text"),), "text"),
)


def fingerprints_of(
    source_sha256: str,
    settings: DataSettings,
    renderer: PromptRenderer,
    *,
    context_length: int,
    weights: str,
    adapter: str | None = None,
    objective: ObjectiveInfo = DEFAULT,
) -> dict[str, str]:
    """Return a hash each of the data, the model, its tokenizer, the text of the prompt style, and the settings.

    The rows do not depend on the `adapter` that a training starts from; the run does, and an adapter is given or not.
    """
    return {
        "data": source_sha256,
        "model": weights,
        **({} if adapter is None else {"adapter": adapter}),
        "tokenizer": _hash(renderer.tokenizer.backend_tokenizer.to_str(), str(renderer.end_of_turn)),
        "prompt": _hash(*_objective_texts(objective), *_prompt_texts(settings, renderer, objective)),
        # A license is told of the rows, and makes none of them.
        "settings": _hash(
            json.dumps(settings.model_dump(exclude={"license"})), str(context_length), str(FORM)
        ),
    }


def _objective_texts(objective: ObjectiveInfo) -> list[str]:
    """Return the name of an objective that is not the default one."""
    return [] if objective == DEFAULT else [objective.name]


def _prompt_texts(settings: DataSettings, renderer: PromptRenderer, objective: ObjectiveInfo) -> list[str]:
    if not objective.has_effect("data.prompt_template"):
        return []
    if settings.prompt_template == "chat":  # a template is its own text, and may refuse what the probes say
        return [renderer.tokenizer.chat_template]
    return [str(renderer.lay_out(probe)) for probe in PROBES]


def changed_parts(before: dict[str, Any], now: dict[str, str]) -> list[str]:
    """Return the names of what is another than it was."""
    return [name for name in {**now, **before} if before.get(name) != now.get(name)]


def _hash(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
