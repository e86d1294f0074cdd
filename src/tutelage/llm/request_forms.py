"""Build requests, and drop parts that a server rejects.

OpenAI-compatible servers differ in what they accept: reasoning models require `max_completion_tokens` and no
temperature; some vendors support no seed, system message or JSON schema. The rejected part is recognized from
the vendor's own words, since no two vendors use the same ones. The task itself never changes, nor does the way
replies are read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

OLLAMA_CONTEXT = 2048  # tokens; as in the book, doubled until the prompt fits

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class ModelRequest:
    """A request for one reply, with a timeout in seconds; the reply must match the `json_schema`, if any."""

    messages: Messages
    seed: int
    temperature: float
    max_tokens: int
    json_schema: dict[str, Any] | None
    seconds: float = 300.0


@dataclass(frozen=True)
class Form:
    """The parts of a request that a server accepts, as far as known."""

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    json: Literal["json_schema", "json_object", "text"] = "json_schema"
    has_temperature: bool = True
    has_seed: bool = True
    has_system: bool = True
    has_think: bool = True

    def left_out(self, question: ModelRequest) -> tuple[str, ...]:
        """Return the parts left out that the user should know about, in the order of the guide's table."""
        lost = {
            "temperature": not self.has_temperature,
            "seed": not self.has_seed,
            "json_schema": self.json != "json_schema" and question.json_schema is not None,
        }
        return tuple(name for name, is_lost in lost.items() if is_lost)


@dataclass(frozen=True)
class OptionalField:
    """An optional part of the form: a pattern for errors about it, and a function that removes it, or None."""

    named: re.Pattern[str]
    without: Callable[[Form], Form | None]


def _without_limit(form: Form) -> Form | None:
    return replace(form, limit="max_completion_tokens") if form.limit == "max_tokens" else None


def _without_json(form: Form) -> Form | None:
    if form.json == "json_schema":
        return replace(form, json="json_object")
    return replace(form, json="text") if form.json == "json_object" else None


PARTS: Mapping[str, OptionalField] = {
    "limit": OptionalField(re.compile(r"\bmax_tokens\b"), _without_limit),
    "temperature": OptionalField(
        re.compile(r"\btemperature\b"),
        lambda form: replace(form, has_temperature=False) if form.has_temperature else None,
    ),
    "seed": OptionalField(
        re.compile(r"\bseed\b"), lambda form: replace(form, has_seed=False) if form.has_seed else None
    ),
    "json": OptionalField(
        re.compile(
            r"response[_ ]?format|json[_ ]?schema|json[_ ]?object|json[_ ]mode|structured[_ ]output|guided|grammar"
            r"|\bschema\b|additionalproperties|\bformat\b"
        ),
        _without_json,
    ),
    "system": OptionalField(
        re.compile(r"system[_ ](?:role|message|prompt)|role\W+system|messages\W+0\W+role|['\"`]system['\"`]"),
        lambda form: replace(form, has_system=False) if form.has_system else None,
    ),
    "think": OptionalField(
        re.compile(r"\bthink(?:ing)?\b"),
        lambda form: replace(form, has_think=False) if form.has_think else None,
    ),
}
# What to leave out, in order, if an error names nothing: first what reasoning models reject.
OPENAI_PARTS = ("limit", "temperature", "seed", "json", "system")
OLLAMA_PARTS = ("think", "json", "system")

_REFUSED = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|invalid|not (?:a )?valid|must|only|may |permitted|allowed|extra"
    r"|available|deprecated|cannot|can't|failed to|forbidden|incompatible|unmarshal|not implemented"
)
_OF_PARAMETERS = re.compile(r"param|field|argument|propert|input|option|request|body|payload")
# Rejected for other reasons, so no other form would help.
_OF_SOMETHING_ELSE = re.compile(
    r"api[_ ]?key|token (?:is )?(?:invalid|expired)|context|too (?:long|large|many)|model[\w ]* not (?:found|exist)"
    r"|no such model|unknown model|invalid model|quota|balance|credit|safety|content (?:policy|filter|management)"
)


def plainer(
    form: Form, status: int, parameter: str, text: str, *, parts: tuple[str, ...], is_proven: bool
) -> Form | None:
    """Return the form without the part named by an error, or None if the error is not about the form.

    `parameter` is the parameter that the server reports, `text` its whole message. A form that the server has
    accepted before (`is_proven`) is not blamed if nothing is named.
    """
    said = text.casefold()
    if status not in (400, 404, 405, 415, 422, 500, 501) or (
        status in (404, 500) and not _REFUSED.search(said)
    ):
        return None
    named = [name for name in parts if PARTS[name].named.search(parameter.casefold())] if parameter else []
    if not named and (status < 500 or _REFUSED.search(said)):
        named = [name for name in parts if PARTS[name].named.search(said)]
    changed = form
    for name in named:
        changed = PARTS[name].without(changed) or changed
    if changed != form:
        return changed
    is_vague = not said.strip() or (_REFUSED.search(said) and _OF_PARAMETERS.search(said))
    if named or is_proven or not is_vague or status >= 500 or _OF_SOMETHING_ELSE.search(said):
        return None
    return next((one for one in (PARTS[name].without(form) for name in parts) if one), None)


def openai_request(question: ModelRequest, form: Form) -> dict[str, Any]:
    """Return the body of a chat completion request, without the model."""
    request: dict[str, Any] = {"messages": _messages(question, form), form.limit: question.max_tokens}
    if form.has_seed:
        request["seed"] = question.seed
    if form.has_temperature:
        request["temperature"] = question.temperature
    if question.json_schema is not None and form.json == "json_schema":
        wanted = {"name": "reply", "strict": True, "schema": question.json_schema}
        request["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif question.json_schema is not None and form.json == "json_object":
        request["response_format"] = {"type": "json_object"}
    return request


def ollama_request(question: ModelRequest, model: str, form: Form) -> dict[str, Any]:
    """Return the body of a request to Ollama's /api/chat, the only endpoint with these options."""
    request: dict[str, Any] = {
        "model": model,
        "messages": _messages(question, form),
        "stream": False,
        "options": {
            "seed": question.seed,
            "temperature": question.temperature,
            "num_ctx": _ollama_context(question),
            "num_predict": question.max_tokens,
        },
    }
    if form.has_think:
        # Otherwise a reasoning model can use up all tokens before its answer.
        request["think"] = False
    if question.json_schema is not None and form.json != "text":
        request["format"] = question.json_schema if form.json == "json_schema" else "json"
    return request


def _messages(question: ModelRequest, form: Form) -> Messages:
    """Return the messages; without a system role, its text is put before the first user message."""
    if form.has_system or not question.messages or question.messages[0]["role"] != "system":
        return question.messages
    system, first, *rest = question.messages
    return [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def _ollama_context(question: ModelRequest) -> int:
    """Return a context length that is sure to fit the prompt: Ollama silently truncates longer ones."""
    prompt_bytes = sum(len(message["content"].encode()) for message in question.messages)
    most_tokens = prompt_bytes // 2 + question.max_tokens  # few texts have more than one token per two bytes
    context = OLLAMA_CONTEXT
    while context < most_tokens:
        context *= 2
    return context
