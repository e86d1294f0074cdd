"""Load language models by name: from an Ollama or OpenAI-compatible server, or from a GGUF file.

Local servers are contacted directly, without a proxy; remote ones only if their address is given explicitly.
"""

import importlib
import importlib.util
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2

from tutelage.errors import LanguageModelError
from tutelage.llm.chat_responses import completion_reply, ollama_reply, other_name
from tutelage.llm.model_names import ModelName, parse_model_name
from tutelage.llm.request_forms import (
    OLLAMA_PARTS,
    OPENAI_PARTS,
    Form,
    ModelRequest,
    ollama_request,
    openai_request,
    plainer,
)
from tutelage.llm.server_errors import ServerError, read_error
from tutelage.llm.server_responses import (
    AskOtherwiseError,
    Meter,
    PassingError,
    Reply,
    brief,
    http_client,
    passing,
    patiently,
    refusal,
)
from tutelage.system.extras import install_command
from tutelage.text.credentials import KEY_VARIABLE, own_key, without_own_key

PACKAGES = {"openai": "openai", "gguf": "xllamacpp"}

GGUF_CONTEXT = 4096  # tokens


class FirstAlone:
    """Sends the first request alone, and all others once it is done.

    A rejected request, an account without credit or a server without rate limits thus shows up with a single
    request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = threading.Event()

    @contextmanager
    def slot(self) -> Iterator[None]:
        with self._lock if not self._is_open.is_set() else nullcontext():
            if not self._is_open.is_set():
                try:
                    yield
                finally:
                    self._is_open.set()
                return
        yield


@dataclass(frozen=True)
class ChatModel:
    """A model that can be called from several threads."""

    name: str
    reply: Callable[[ModelRequest], Reply]  # one attempt; raises PassingError if a retry may succeed
    description: str = ""
    timeout_seconds: float = 300.0
    first_alone: FirstAlone | None = None

    def ask(
        self,
        messages: list[dict[str, str]],
        *,
        seed: int,
        temperature: float,
        max_tokens: int,
        json_schema: dict[str, Any] | None,
        meter: Meter | None = None,
    ) -> Reply:
        """Return the reply; raise LanguageModelError if there is none. `meter` is called for every attempt."""

        def once(seconds: float) -> Reply:
            return self.reply(ModelRequest(messages, seed, temperature, max_tokens, json_schema, seconds))

        with self.first_alone.slot() if self.first_alone else nullcontext():
            return patiently(once, self.description or self.name, self.timeout_seconds, meter)


# Sends a request once; raises PassingError if a retry may succeed, AskOtherwiseError for a retry in a plainer
# form.
Send = Callable[[ModelRequest], Reply]


def load_chat_model(name: str, *, timeout_seconds: float, aliases: Collection[str] = ()) -> ChatModel:
    """Load a model; raise LanguageModelError if its name, its file or a required library is at fault.

    `timeout_seconds` limits one request to a server, including retries and the pauses it asks for. A model in
    this process is only limited by `max_tokens`. `aliases` are other names under which its server may answer.
    """
    parts = parse_model_name(name)
    send = OPENERS[parts.kind](parts, aliases)
    return ChatModel(name, send, parts.description, timeout_seconds, FirstAlone())


def require_usable_model(name: str) -> None:
    """Raise LanguageModelError if a model obviously cannot be loaded, without loading it or sending a request."""
    parts = parse_model_name(name)
    if parts.kind == "gguf":
        _require_gguf_file(Path(parts.place).expanduser())
    package = PACKAGES.get(parts.kind)
    if package is not None and importlib.util.find_spec(package) is None:
        raise LanguageModelError("llm.not_installed", _missing(package, parts))


class _FormInUse:
    """The request format for one server, shared by all threads; it only ever gets plainer."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.form = Form()
        self._parts = parts
        self._is_proven = False
        self._lock = threading.Lock()

    def gives_way(self, used: Form, status: int, error: ServerError) -> bool:
        """Return whether to retry a rejected request at once, without the rejected part."""
        with self._lock:
            if self.form == used:
                self.form = (
                    plainer(
                        used,
                        status,
                        error.parameter,
                        error.text,
                        parts=self._parts,
                        is_proven=self._is_proven,
                    )
                    or used
                )
            return self.form != used

    def took(self, question: ModelRequest, used: Form, reply: Reply, model: str | None) -> Reply:
        """Record that a format was accepted, and complete the reply."""
        self._is_proven = True
        return replace(reply, model=model, left_out=used.left_out(question))


def _load_openai(parts: ModelName, aliases: Collection[str]) -> Send:
    openai = _library(PACKAGES["openai"], parts)
    client = openai.OpenAI(
        api_key=_key_for(parts) or "none",  # the client requires a key
        base_url=parts.place,
        organization="",  # otherwise the client would send the value from the environment
        project="",
        max_retries=0,  # our own retries have a time limit and are the same for all servers
        http_client=http_client(is_here=parts.remote_host is None),
    )
    in_use = _FormInUse(OPENAI_PARTS)

    def send(question: ModelRequest) -> Reply:
        form = in_use.form
        try:
            answered = client.chat.completions.with_raw_response.create(
                model=parts.model, timeout=question.seconds, **openai_request(question, form)
            )
            body = answered.http_response.json()
        except openai.APIStatusError as fault:
            error = read_error(fault.response.text)
            unfinished = _unfinished(error)
            if unfinished is not None:
                return unfinished
            if in_use.gives_way(form, fault.response.status_code, error):
                raise AskOtherwiseError from fault
            raise refusal(fault.response, parts.description) from fault
        except openai.APIConnectionError as fault:
            raise passing(fault.__cause__ or fault) from fault
        except (openai.OpenAIError, ValueError, RecursionError) as fault:
            raise PassingError("llm.malformed_response", "it returned no chat completion") from fault
        reply = completion_reply(body)
        return in_use.took(question, form, reply, other_name(body.get("model"), parts, aliases))

    return send


def _unfinished(error: ServerError) -> Reply | None:
    """Return the reply that some services send as an error: one cut at its limit, or one that is not JSON."""
    if error.failed_generation is not None:
        return Reply(without_own_key(error.failed_generation))
    if re.search("could not finish the message|output limit was reached", error.text.casefold()):
        return Reply("", is_cut=True, has_thought=True)
    return None


def _load_ollama(parts: ModelName, aliases: Collection[str]) -> Send:
    client = http_client(is_here=parts.remote_host is None)
    in_use = _FormInUse(OLLAMA_PARTS)

    def send(question: ModelRequest) -> Reply:
        form = in_use.form
        try:
            response = client.post(
                f"{parts.place}/api/chat",
                json=ollama_request(question, parts.model, form),
                timeout=question.seconds,
            )
        except httpx2.HTTPError as fault:
            raise passing(fault) from fault
        if response.status_code != 200:
            if in_use.gives_way(form, response.status_code, read_error(response.text)):
                raise AskOtherwiseError
            raise refusal(response, parts.description)
        try:
            body = response.json()
        except (ValueError, RecursionError) as fault:
            raise PassingError("llm.malformed_response", "it returned no chat response") from fault
        reply = ollama_reply(body)
        return in_use.took(question, form, reply, other_name(body.get("model"), parts, aliases))

    return send


def _load_gguf(parts: ModelName, aliases: Collection[str]) -> Send:
    """Load a file into this process; a grammar restricts its replies to the schema."""
    path = Path(parts.place).expanduser()
    _require_gguf_file(path)
    llama = _library(PACKAGES["gguf"], parts)
    settings = llama.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx = GGUF_CONTEXT
    settings.n_parallel = 1  # one at a time, so that a reply does not depend on others
    settings.warmup = False
    settings.verbosity = 0
    try:
        server = llama.Server(settings)
    except RuntimeError as fault:
        raise LanguageModelError(
            "llm.cannot_load",
            f"llama.cpp cannot load {path}. Use a complete GGUF file of a chat model whose architecture"
            " llama.cpp supports.",
        ) from fault

    def send(question: ModelRequest) -> Reply:
        # Turn reasoning off in its template, as for Ollama; templates without reasoning ignore this.
        request = openai_request(question, Form()) | {"chat_template_kwargs": {"enable_thinking": False}}
        try:
            reply = server.handle_chat_completions(request)
        except (RuntimeError, ValueError) as fault:
            raise LanguageModelError("llm.no_reply", f"{path} gave no reply: {brief(str(fault))}.") from fault
        if "error" in reply:
            raise LanguageModelError(
                "llm.no_reply", f"{path} gave no reply: {brief(str(reply['error'].get('message')))}."
            )
        return completion_reply(reply)

    return send


OPENERS: Mapping[str, Callable[[ModelName, Collection[str]], Send]] = {
    "ollama": _load_ollama,
    "openai": _load_openai,
    "gguf": _load_gguf,
}


def _library(package: str, parts: ModelName) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as fault:
        raise LanguageModelError("llm.not_installed", _missing(package, parts)) from fault


def _missing(package: str, parts: ModelName) -> str:
    return (
        f"{parts.kind}:{parts.model} needs the package {package}, which is not installed."
        f" Install it with `{install_command('judges')}`."
    )


def _key_for(parts: ModelName) -> str | None:
    """Return the key for a server, or None if it would be sent unencrypted over a network."""
    key = own_key() if parts.takes_key else None
    if key and not re.fullmatch("[!-~]+", key):
        raise LanguageModelError(
            "llm.malformed_key",
            f"{KEY_VARIABLE} contains a character that no key has, such as a space or a line break. Set it"
            " to the key alone.",
        )
    return key


def _require_gguf_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as fault:
        raise LanguageModelError(
            "llm.unreadable",
            f"The model {path} cannot be read: {fault.strerror}. Name a GGUF file, as in gguf:judge.gguf.",
        ) from fault
    if begins != b"GGUF":
        raise LanguageModelError(
            "llm.not_gguf", f"{path} is not a GGUF file. Name one, as in gguf:judge.gguf."
        )
