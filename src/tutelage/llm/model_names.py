"""Parse the names of language models, check them for keys, and compare them with the model that answered."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from tutelage.errors import LanguageModelError
from tutelage.system.fetching import is_loopback
from tutelage.text.credentials import KEY_IN_NAME, KEY_VARIABLE, secret_in_name, without_secrets

OLLAMA_HERE = "http://127.0.0.1:11434"
EXAMPLES = "ollama:llama3, openai:NAME@http://localhost:8080/v1 or gguf:judge.gguf"

Kind = Literal["ollama", "openai", "gguf"]

# Suffixes that services append to a requested name: the snapshot's date, as 2024-08-06, 20241022, 0613 or 2411,
# or its number, as 001.
_SNAPSHOT = re.compile(
    r"[-@:](?:20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|2\d(?:0[1-9]|1[0-2])|00\d)"
)


@dataclass(frozen=True)
class ModelName:
    """A parsed model name; `place` is the address of its server, or the path of its file."""

    kind: Kind
    model: str
    place: str

    @property
    def description(self) -> str:
        """Model and location, for messages."""
        return f"{self.kind}:{self.model} at {self.place}"

    @property
    def remote_host(self) -> str | None:
        """The remote host that would receive requests, or None if nothing leaves this machine."""
        host = urlsplit(self.place).hostname if self.kind != "gguf" else None
        return None if host is None or is_loopback(host) else host

    @property
    def takes_key(self) -> bool:
        """Whether a key may be sent: to this machine, or over https."""
        return self.remote_host is None or urlsplit(self.place).scheme == "https"


def parse_model_name(name: str) -> ModelName:
    """Parse `ollama:MODEL`, `ollama:MODEL@URL`, `openai:MODEL@URL` or `gguf:PATH`."""
    kind, colon, rest = name.partition(":")
    model, _, address = rest.partition("@")
    secret = secret_in_name(name)
    if secret == "key":
        raise LanguageModelError("llm.key_in_name", f"{KEY_IN_NAME} Write it as in {EXAMPLES}.")
    if secret == "address":
        raise LanguageModelError(
            "llm.secret_in_url",
            f"The address {without_secrets(address)} of {without_secrets(model)} contains more than host,"
            f" port and path. Set a key in the environment variable {KEY_VARIABLE}, so that no file contains"
            " it.",
        )
    if kind not in get_args(Kind) or not colon or not rest.strip():
        raise LanguageModelError(
            "llm.malformed_name",
            f"{without_secrets(name)!r} is not the name of a language model. Write it as in {EXAMPLES}.",
        )
    if kind == "gguf":
        return ModelName("gguf", Path(rest).name, rest)
    if kind == "openai" and not address.strip():
        raise LanguageModelError(
            "llm.no_server",
            f"{without_secrets(name)!r} names no server. Add its address after an @, as in {EXAMPLES};"
            " requests only go to servers that you name.",
        )
    if not model.strip() or "://" in model:
        raise LanguageModelError(
            "llm.no_model", f"The name {kind}:@… has no model before the @. Write it as in {EXAMPLES}."
        )
    _check_address(model, address or OLLAMA_HERE)
    return ModelName("ollama" if kind == "ollama" else "openai", model, (address or OLLAMA_HERE).rstrip("/"))


def is_same_model(asked: str, answered: str, aliases: Collection[str] = ()) -> bool:
    """Return whether the model that answered is the requested one or one of its aliases.

    Names are equal if they only differ in case, a leading path or publisher, a trailing `.gguf` or `:latest`,
    or the date of the snapshot. A common prefix is not enough: gpt-4 is not gpt-4o-mini.
    """
    return any(
        one == other or one.removesuffix("-latest") == _undated(other)
        for one, other in _pairs([asked, *aliases], answered)
        if one and other
    )


def _pairs(names: Collection[str], answered: str) -> list[tuple[str, str]]:
    """Return pairs of comparable names; a publisher only counts if both names have one."""
    pairs = []
    for name in names:
        one, other = _plain(name), _plain(answered)
        is_bare = "/" not in one or "/" not in other
        pairs.append((one.rpartition("/")[2], other.rpartition("/")[2]) if is_bare else (one, other))
    return pairs


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").casefold().removesuffix(".gguf").removesuffix(":latest")


def _undated(name: str) -> str:
    found = list(_SNAPSHOT.finditer(name))
    return name[: found[-1].start()] if found and found[-1].end() == len(name) else name


def _check_address(model: str, address: str) -> None:
    """Reject invalid addresses; the message leaves out anything that may be a password."""
    try:
        parts = urlsplit(address)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port, parts = False, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise LanguageModelError(
            "llm.malformed_url",
            f"The address {without_secrets(address)} of {model} is not an http:// or https:// address. Write"
            f" the name as in {EXAMPLES}.",
        )
