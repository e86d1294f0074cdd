"""Other people's language models, asked by name: on an Ollama or OpenAI-compatible server, or from a GGUF file.

A server on this machine is reached directly, past any proxy; one elsewhere only because its address was written out.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from tutelage.errors import LanguageModelError
from tutelage.fetching import is_loopback
from tutelage.server_replies import (
    KEY_VARIABLE,
    PassingError,
    Reply,
    brief,
    counted,
    http_client,
    patiently,
    reason,
    refusal,
)

OLLAMA_HERE = "http://127.0.0.1:11434"
EXAMPLES = "ollama:llama3, openai:NAME@http://localhost:8080/v1 or gguf:judge.gguf"

PACKAGES = {"openai": "openai", "gguf": "xllamacpp"}

OLLAMA_CONTEXT = 2048  # tokens; that of the book, and doubled where a prompt would not fit
GGUF_CONTEXT = 4096  # tokens


@dataclass(frozen=True)
class ModelName:
    """A name taken apart; `place` is the address of its server, or the path of its file."""

    kind: Literal["ollama", "openai", "gguf"]
    model: str
    place: str

    @property
    def told(self) -> str:
        """How messages name the model and where it is."""
        return f"{self.kind}:{self.model} at {self.place}"

    @property
    def remote_host(self) -> str | None:
        """The host that would be sent what is asked, or None where nothing leaves this machine."""
        host = urlsplit(self.place).hostname if self.kind != "gguf" else None
        return None if host is None or is_loopback(host) else host


@dataclass(frozen=True)
class Question:
    """What one reply is asked for with; with a `json_schema` the reply shall be JSON that fits it."""

    messages: list[dict[str, str]]
    seed: int
    temperature: float
    max_tokens: int
    json_schema: dict[str, Any] | None


@dataclass(frozen=True)
class ChatModel:
    """A model that can be asked, from several threads at once."""

    name: str
    reply: Callable[[Question], Reply]

    def ask(
        self,
        messages: list[dict[str, str]],
        *,
        seed: int,
        temperature: float,
        max_tokens: int,
        json_schema: dict[str, Any] | None,
    ) -> Reply:
        """Return the reply; LanguageModelError where there is none."""
        return self.reply(Question(messages, seed, temperature, max_tokens, json_schema))


# Sends a question once, with so many seconds for the reply; PassingError where another try may go better.
Send = Callable[[Question, float], Reply]


def open_chat_model(name: str, *, timeout_seconds: float) -> ChatModel:
    """Make a model ready; LanguageModelError where its name, its file or a library of its kind is at fault.

    `timeout_seconds` bounds one question to a server, with all tries and the pauses that the server asks for. A
    model in this process is bounded by `max_tokens` alone.
    """
    parts = parse_model_name(name)
    send = OPENERS[parts.kind](parts)
    return ChatModel(name, lambda question: patiently(partial(send, question), parts.told, timeout_seconds))


def refuse_unusable(name: str) -> None:
    """Raise LanguageModelError where a model can be seen not to open, without loading it or asking anybody."""
    parts = parse_model_name(name)
    if parts.kind == "gguf":
        _refuse_file(Path(parts.place).expanduser())
    package = PACKAGES.get(parts.kind)
    if package is not None and importlib.util.find_spec(package) is None:
        raise LanguageModelError("llm.not_installed", _missing(package, parts))


def parse_model_name(name: str) -> ModelName:
    """Take `ollama:MODEL`, `ollama:MODEL@URL`, `openai:MODEL@URL` or `gguf:PATH` apart."""
    kind, colon, rest = name.partition(":")
    if kind not in OPENERS or not colon or not rest:
        raise LanguageModelError(
            "llm.malformed_name", f"{name!r} names no language model. Write it as in {EXAMPLES}."
        )
    if kind == "gguf":
        return ModelName("gguf", Path(rest).name, rest)
    model, _, address = rest.partition("@")
    if kind == "openai" and not address:
        raise LanguageModelError(
            "llm.no_server",
            f"{name!r} says no server. Write its address behind an @, as in {EXAMPLES};"
            " what is asked goes nowhere that you have not named.",
        )
    if not model:
        raise LanguageModelError(
            "llm.no_model", f"The name {kind}:@… has no model before the @. Write it as in {EXAMPLES}."
        )
    _refuse_address(model, address or OLLAMA_HERE)
    return ModelName("ollama" if kind == "ollama" else "openai", model, (address or OLLAMA_HERE).rstrip("/"))


def _refuse_address(model: str, address: str) -> None:
    """Refuse what is no plain address, without repeating it: it may hold a password."""
    try:
        parts = urlsplit(address)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port, parts = False, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise LanguageModelError(
            "llm.malformed_url",
            f"The address of {model} is no http:// or https:// address. Write the name as in {EXAMPLES}.",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise LanguageModelError(
            "llm.secret_in_url",
            f"The address of {model} carries more than host, port and path. A key is taken from the environment"
            f" variable {KEY_VARIABLE} alone, so that it comes into no file.",
        )


def _open_openai(parts: ModelName) -> Send:
    openai = _library(PACKAGES["openai"], parts)
    key = _key_for(parts)
    client = openai.OpenAI(
        api_key=key or "none",  # the client insists on one
        base_url=parts.place,
        organization="",  # or it would send what the environment says
        project="",
        max_retries=0,  # ours are bounded in time, and the same for every kind of server
        http_client=http_client(is_here=parts.remote_host is None),
    )

    def send(question: Question, seconds: float) -> Reply:
        try:
            completion = client.chat.completions.create(
                model=parts.model, timeout=seconds, **_openai_request(question)
            )
        except openai.APIStatusError as fault:
            raise refusal(fault.response, parts.told, key) from fault
        except openai.APIConnectionError as fault:
            raise PassingError("llm.request_failed", reason(fault.__cause__ or fault)) from fault
        except (openai.OpenAIError, ValueError) as fault:
            raise PassingError("llm.malformed_response", "it sent no chat completion") from fault
        return _completion_reply(completion, parts)

    return send


def _open_ollama(parts: ModelName) -> Send:
    client = http_client(is_here=parts.remote_host is None)

    def send(question: Question, seconds: float) -> Reply:
        try:
            response = client.post(
                f"{parts.place}/api/chat", json=_ollama_request(question, parts), timeout=seconds
            )
        except httpx2.HTTPError as fault:
            raise PassingError("llm.request_failed", reason(fault)) from fault
        if response.status_code != 200:
            raise refusal(response, parts.told)
        return _ollama_reply(response, parts)

    return send


def _open_gguf(parts: ModelName) -> Send:
    """Load the file into this process; its replies fit the schema, because a grammar allows no other token."""
    path = Path(parts.place).expanduser()
    _refuse_file(path)
    llama = _library(PACKAGES["gguf"], parts)
    settings = llama.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx = GGUF_CONTEXT
    settings.n_parallel = 1  # one at a time, so that a reply does not depend on its neighbours
    settings.warmup = False
    settings.verbosity = 0
    try:
        server = llama.Server(settings)
    except RuntimeError as fault:
        raise LanguageModelError(
            "llm.cannot_load",
            f"llama.cpp cannot load {path}. Name a whole GGUF file of a chat model, of a kind that it knows.",
        ) from fault

    def send(question: Question, seconds: float) -> Reply:
        try:
            reply = server.handle_chat_completions(_openai_request(question))
        except (RuntimeError, ValueError) as fault:
            raise LanguageModelError("llm.no_reply", f"{path} gave no reply: {brief(str(fault))}.") from fault
        if "error" in reply:
            raise LanguageModelError(
                "llm.no_reply", f"{path} gave no reply: {brief(str(reply['error'].get('message')))}."
            )
        return Reply(reply["choices"][0]["message"].get("content") or "")

    return send


OPENERS: Mapping[str, Callable[[ModelName], Send]] = {
    "ollama": _open_ollama,
    "openai": _open_openai,
    "gguf": _open_gguf,
}


def _library(package: str, parts: ModelName) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as fault:
        raise LanguageModelError("llm.not_installed", _missing(package, parts)) from fault


def _missing(package: str, parts: ModelName) -> str:
    return (
        f"{parts.kind}:{parts.model} needs the package {package}, which is not installed."
        " Install it with `pip install 'tutelage[judges]'`."
    )


def _key_for(parts: ModelName) -> str | None:
    """Return the key for a server; none is sent in the clear over a network."""
    is_safe = parts.remote_host is None or parts.place.startswith("https:")
    return os.environ.get(KEY_VARIABLE) or None if is_safe else None


def _refuse_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as fault:
        raise LanguageModelError(
            "llm.unreadable",
            f"The model {path} cannot be read: {fault.strerror}. Name a GGUF file, as in gguf:judge.gguf.",
        ) from fault
    if begins != b"GGUF":
        raise LanguageModelError("llm.not_gguf", f"{path} is no GGUF file. Name one, as in gguf:judge.gguf.")


def _openai_request(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "messages": question.messages,
        "seed": question.seed,
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
    }
    if question.json_schema is not None:
        wanted = {"name": "reply", "strict": True, "schema": question.json_schema}
        request["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return request


def _ollama_request(question: Question, parts: ModelName) -> dict[str, Any]:
    # Ollama takes these from `options` alone; beside the messages they would be ignored in silence.
    options = {
        "seed": question.seed,
        "temperature": question.temperature,
        "num_ctx": _ollama_context(question),
        "num_predict": question.max_tokens,
    }
    request = {"model": parts.model, "messages": question.messages, "stream": False, "options": options}
    return request if question.json_schema is None else request | {"format": question.json_schema}


def _ollama_context(question: Question) -> int:
    """Return a context that surely holds the prompt: Ollama cuts off what does not fit, and says nothing."""
    prompt_bytes = sum(len(message["content"].encode()) for message in question.messages)
    context = OLLAMA_CONTEXT
    while (
        context < prompt_bytes // 2 + question.max_tokens
    ):  # hardly any text has a token for every two bytes
        context *= 2
    return context


def _completion_reply(completion: Any, parts: ModelName) -> Reply:
    choices = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        raise PassingError("llm.malformed_response", "it sent no chat completion")
    _refuse_other_model(getattr(completion, "model", None), parts)
    usage = getattr(completion, "usage", None)
    return counted(
        message.content, getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    )


def _ollama_reply(response: httpx2.Response, parts: ModelName) -> Reply:
    try:
        body = response.json()
        text = body["message"]["content"]
    except (ValueError, LookupError, TypeError) as fault:
        raise PassingError("llm.malformed_response", "it sent no chat reply") from fault
    _refuse_other_model(body.get("model"), parts)
    return counted(text, body.get("prompt_eval_count"), body.get("eval_count"))


def _refuse_other_model(answered: object, parts: ModelName) -> None:
    """Stop where another model answers than was named; `gpt-4o` may answer as `gpt-4o-2024-08-06`."""
    if not isinstance(answered, str) or answered.startswith(parts.model):
        return
    if Path(answered).name in (parts.model, f"{parts.model}.gguf"):
        return
    raise LanguageModelError(
        "llm.other_model_answered",
        f"{parts.place} was asked for {parts.model}, but {brief(answered)} answered. Name the model that is there:"
        f" {parts.kind}:{brief(answered)}@{parts.place}.",
    )
