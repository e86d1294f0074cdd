"""Fingerprints of everything that prepared rows depend on; if all are equal, preparing again gives the same
rows.
"""

import hashlib
import json
from typing import Any

from tutelage.config.objectives import DEFAULT, ObjectiveInfo
from tutelage.config.recipe import DataSettings
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of

FORM = 3  # version of the files with prepared rows; increment when they change
# A prompt style is identified by what it writes around these texts, not by its name.
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
    """Return a hash for each of data, model, tokenizer, rendered prompt style, and settings.

    The rows do not depend on the `adapter` that training starts from, but the run does, so it is included if
    given.
    """
    return {
        "data": source_sha256,
        "model": weights,
        **({} if adapter is None else {"adapter": adapter}),
        "tokenizer": _hash(renderer.tokenizer.backend_tokenizer.to_str(), str(renderer.end_of_turn)),
        "prompt": _hash(*_objective_texts(objective), *_prompt_texts(settings, renderer, objective)),
        # The license describes the rows but does not affect them.
        "settings": _hash(
            json.dumps(settings.model_dump(exclude={"license"})), str(context_length), str(FORM)
        ),
    }


def _objective_texts(objective: ObjectiveInfo) -> list[str]:
    """Return the name of the objective, unless it is the default."""
    return [] if objective == DEFAULT else [objective.name]


def _prompt_texts(settings: DataSettings, renderer: PromptRenderer, objective: ObjectiveInfo) -> list[str]:
    if not objective.has_effect("data.prompt_template"):
        return []
    if settings.prompt_template == "chat":  # compare the template itself, which may reject the probes
        return [renderer.tokenizer.chat_template]
    return [str(renderer.lay_out(probe)) for probe in PROBES]


def changed_parts(before: dict[str, Any], now: dict[str, str]) -> list[str]:
    """Return the names of the parts that differ."""
    return [name for name in {**now, **before} if before.get(name) != now.get(name)]


def _hash(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
