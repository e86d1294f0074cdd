"""Other people's language models, asked by name: on an Ollama or OpenAI-compatible server, or from a GGUF file.

A server on this machine is reached directly, past any proxy; one elsewhere only because its address was written out.
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
    """Lets the first question through by itself, and all others when it is done.

    What a server refuses, an account without credit, and a server that keeps no limit show with one question, before
    several are under way.
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
    """A model that can be asked, from several threads at once."""

    name: str
    reply: Callable[[ModelRequest], Reply]  # one try; PassingError where another may go better
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
        """Return the reply; LanguageModelError where there is none. `meter` is told of every try."""

        def once(seconds: float) -> Reply:
            return self.reply(ModelRequest(messages, seed, temperature, max_tokens, json_schema, seconds))

        with self.first_alone.slot() if self.first_alone else nullcontext():
            return patiently(once, self.description or self.name, self.timeout_seconds, meter)


# Sends a question once; PassingError where another try may go better, AskOtherwiseError where it will be put plainer.
Send = Callable[[ModelRequest], Reply]


def load_chat_model(name: str, *, timeout_seconds: float, aliases: Collection[str] = ()) -> ChatModel:
    """Make a model ready; LanguageModelError where its name, its file or a library of its kind is at fault.

    `timeout_seconds` bounds one question to a server, with all tries and the pauses that the server asks for. A
    model in this process is bounded by `max_tokens` alone. `aliases` are names with which its server may answer.
    """
    parts = parse_model_name(name)
    send = OPENERS[parts.kind](parts, aliases)
    return ChatModel(name, send, parts.description, timeout_seconds, FirstAlone())


def require_usable_model(name: str) -> None:
    """Raise LanguageModelError where a model can be seen not to open, without loading it or asking anybody."""
    parts = parse_model_name(name)
    if parts.kind == "gguf":
        _require_gguf_file(Path(parts.place).expanduser())
    package = PACKAGES.get(parts.kind)
    if package is not None and importlib.util.find_spec(package) is None:
        raise LanguageModelError("llm.not_installed", _missing(package, parts))


class _FormInUse:
    """The form in which one server is asked by all threads; it only ever becomes plainer."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.form = Form()
        self._parts = parts
        self._is_proven = False
        self._lock = threading.Lock()

    def gives_way(self, used: Form, status: int, error: ServerError) -> bool:
        """Tell whether a refused question is to be put again at once, in a form without what was refused."""
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
        """Note that a form was taken, and complete its reply."""
        self._is_proven = True
        return replace(reply, model=model, left_out=used.left_out(question))


def _load_openai(parts: ModelName, aliases: Collection[str]) -> Send:
    openai = _library(PACKAGES["openai"], parts)
    client = openai.OpenAI(
        api_key=_key_for(parts) or "none",  # the client insists on one
        base_url=parts.place,
        organization="",  # or it would send what the environment says
        project="",
        max_retries=0,  # ours are bounded in time, and the same for every kind of server
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
    """Return the reply that some services send as an error: one cut by its limit, or one that is no JSON."""
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
    """Load the file into this process; its replies fit the schema, because a grammar allows no other token."""
    path = Path(parts.place).expanduser()
    _require_gguf_file(path)
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
            f"llama.cpp cannot load {path}. Use a complete GGUF file of a chat model whose architecture"
            " llama.cpp supports.",
        ) from fault

    def send(question: ModelRequest) -> Reply:
        # Its template is told not to think, as Ollama is; one that knows no thoughts passes over it.
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
    """Return the key for a server; none is sent in the clear over a network."""
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
