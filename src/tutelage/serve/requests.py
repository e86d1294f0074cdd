"""Parse and validate requests: ineffective fields are accepted, and unsupported ones rejected by name."""

import json
import secrets
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tutelage.data.rows.conversations import ChatMessage
from tutelage.errors import DataError
from tutelage.generation.sampling import Sampling
from tutelage.serve.answering_model import Served
from tutelage.serve.fields import (
    NOTHING,
    Honoured,
    RequestError,
    Wrong,
    flag,
    number,
    read_fields,
    reject,
    text,
    whole_number,
)
from tutelage.serve.generation_requests import MOST_LOGPROBS, GenerationRequest
from tutelage.serve.ignored_fields import OF_REQUESTS
from tutelage.serve.messages import read_messages

MOST_STOPS = 16
LONGEST_STOP = 200
MOST_TOKENS = 2**31 - 1
LARGEST_SEED = 2**63 - 1
BITS_OF_DRAWN_SEEDS = 31
LOWEST_TEMPERATURE = 0.01
TOKENS_OF_COMPLETION = 16  # default of OpenAI's API


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list):
        raise ValueError
    stops = [stop for stop in stops if stop != ""]  # an empty string requests nothing
    if len(stops) > MOST_STOPS or not all(
        isinstance(stop, str) and len(stop) <= LONGEST_STOP for stop in stops
    ):
        raise ValueError
    return tuple(stops)


def _stream_options(value: Any) -> bool:
    """Return whether token counts are requested."""
    if not isinstance(value, dict):
        raise ValueError
    if any(given not in (*NOTHING, False) for name, given in value.items() if name != "include_usage"):
        raise ValueError
    return flag(value.get("include_usage") or False)


def _messages(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return value


def _prompt(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return text(value)


def _top_logprobs_of_completion(value: Any) -> int | None:
    return None if value is False else whole_number(0, 5)(value)


_COMMON = {
    "model": Honoured("`tuned` or `base`", text),
    "max_tokens": Honoured("an integer of at least 1", whole_number(1, MOST_TOKENS)),
    "temperature": Honoured("a number from 0 to 100", number(0, 100)),
    "top_p": Honoured("a number above 0 and at most 1", number(0, 1, above=True)),
    "seed": Honoured("an integer from 0 to 2^63 - 1", whole_number(0, LARGEST_SEED)),
    "stop": Honoured(
        f"a string or a list of up to {MOST_STOPS} strings, each of up to {LONGEST_STOP} characters", _stops
    ),
    "stream": Honoured("true or false", flag),
    "stream_options": Honoured("an object with include_usage and nothing else", _stream_options),
}
_OF_CHATS = {
    **_COMMON,
    "messages": Honoured("a list of messages, at least one", _messages),
    "max_completion_tokens": _COMMON["max_tokens"],
    "logprobs": Honoured("true or false", flag),
    "top_logprobs": Honoured(f"an integer from 0 to {MOST_LOGPROBS}", whole_number(0, MOST_LOGPROBS)),
}
_OF_COMPLETIONS = {
    **_COMMON,
    "prompt": Honoured("a string", _prompt),
    "logprobs": Honoured("an integer from 0 to 5", _top_logprobs_of_completion),
}


@dataclass(frozen=True)
class _Common:
    """Fields shared by both kinds of requests."""

    model: str
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    stream_options: bool = False  # whether token counts are requested

    def generation_request(
        self, prompt: tuple[int, ...], room: int, top_logprobs: int | None
    ) -> GenerationRequest:
        """Return the request for the engine; without a seed, a random one is used and reported."""
        sampling = None
        if self.temperature > 0:
            seed = secrets.randbits(BITS_OF_DRAWN_SEEDS) if self.seed is None else self.seed
            sampling = Sampling(max(self.temperature, LOWEST_TEMPERATURE), top_p=self.top_p, seed=seed)
        is_repeatable = self.seed is not None
        return GenerationRequest(self.model, prompt, room, sampling, self.stop, top_logprobs, is_repeatable)

    def check_ignored_fields(self) -> None:
        if self.stream_options and not self.stream:
            raise RequestError(
                "serve.stream_options_without_stream",
                "stream_options only apply to streams: set stream to true, or leave them out.",
                param="stream_options",
            )


@dataclass(frozen=True)
class ChatRequest(_Common):
    """A request to /v1/chat/completions."""

    messages: tuple[ChatMessage, ...] = ()
    max_completion_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Parse a request; raise RequestError with all invalid fields."""
        read, wrong = read_fields(value, honoured=_OF_CHATS, idle=OF_REQUESTS, required=["model", "messages"])
        turns, wrong_in_messages = read_messages(read.pop("messages", []), path="messages")
        reject([*wrong, *wrong_in_messages])
        return cls(**read, messages=tuple(turns))

    def question(self, served: Served) -> GenerationRequest:
        self.check_ignored_fields()
        if self.messages[-1].role not in ("user", "tool"):
            raise RequestError(
                "serve.last_message_not_user",
                "The last message must have the role user or tool, so that the model can answer it.",
                param="messages",
            )
        if self.top_logprobs and not self.logprobs:
            raise RequestError(
                "serve.top_logprobs_without_logprobs",
                "top_logprobs requires logprobs: set logprobs to true, or leave top_logprobs out.",
                param="top_logprobs",
            )
        if None not in (sent := (self.max_tokens, self.max_completion_tokens)) and len({*sent}) > 1:
            raise RequestError(
                "serve.max_tokens_twice",
                "max_tokens and max_completion_tokens are two names for the same setting. Send only one of"
                " them.",
                param="max_tokens",
            )
        prompt = served.prompt_of_messages(self.messages)
        room = served.tokens_left_after(prompt, self.max_completion_tokens or self.max_tokens)
        return self.generation_request(prompt, room, self.top_logprobs if self.logprobs else None)


@dataclass(frozen=True)
class CompletionRequest(_Common):
    """A request to /v1/completions: a text to continue, without a prompt template."""

    prompt: str = ""
    logprobs: int | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Parse a request; raise RequestError with all invalid fields."""
        read, wrong = read_fields(
            value, honoured=_OF_COMPLETIONS, idle=OF_REQUESTS, required=["model", "prompt"]
        )
        reject(wrong)
        return cls(**read)

    def question(self, served: Served) -> GenerationRequest:
        self.check_ignored_fields()
        prompt = served.prompt_of_text(self.prompt) if self.prompt else ()
        if not prompt:
            raise RequestError(
                "serve.empty_prompt",
                "The prompt is empty. Send a prompt that the model can continue.",
                param="prompt",
            )
        room = served.tokens_left_after(prompt, self.max_tokens or TOKENS_OF_COMPLETION)
        return self.generation_request(prompt, room, self.logprobs)


def read_json(body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a request; raise DataError if it is invalid."""
    try:
        value: Any = json.loads(body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as fault:
        raise DataError(
            "serve.malformed_json", f"The request is not valid JSON: {_in_words(fault)}."
        ) from fault
    if not isinstance(value, dict):
        reject([Wrong("serve.unsupported_request", "", "it must be a JSON object")])
    return value


class _RepeatedNameError(ValueError):
    """Raised for an object with a repeated key, which is ambiguous."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(value := dict(pairs)) < len(pairs):
        [(name, times)] = Counter(name for name, _ in pairs).most_common(1)
        raise _RepeatedNameError(f"{name[:80]!r} occurs {times} times in one object")
    return value


def _in_words(fault: Exception) -> str:
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start:,} is not UTF-8"
    if isinstance(fault, json.JSONDecodeError | _RepeatedNameError):
        return str(fault)
    return f"a number has more than {sys.get_int_max_str_digits():,} digits"
