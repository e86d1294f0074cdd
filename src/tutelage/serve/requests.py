"""What a request may ask, checked field by field: what is not known or cannot be done is refused, never passed over."""

import json
from collections import Counter
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tutelage.data.conversations import Turn
from tutelage.errors import DataError
from tutelage.generation.sampling import Sampling
from tutelage.serve.opening import Served
from tutelage.serve.questions import MOST_LOGPROBS, Question

Asked = TypeVar("Asked", "ChatRequest", "CompletionRequest")
MOST_STOPS = 16

Stop = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part]

    def turn(self) -> Turn:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Turn("system" if self.role == "developer" else self.role, text)


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool = False


class _Common(BaseModel):
    """What both kinds of request share. Fields with one value may be given, but ask for nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=0, lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    n: Literal[1] = 1
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0
    user: str | None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> Sampling | None:
        if self.temperature == 0:
            return None
        return Sampling(temperature=max(self.temperature, 0.01), top_p=self.top_p, seed=self.seed)

    def refuse_idle_fields(self) -> None:
        """Refuse what is well formed, but could not be honoured beside the other fields."""
        if self.stream_options is not None and not self.stream:
            raise DataError(
                "serve.stream_options_without_stream",
                "stream_options are of streams alone: set stream to true, or leave them out.",
            )

    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(_Common):
    """A request to /v1/chat/completions."""

    messages: list[_Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    response_format: None = None
    tools: None = None

    def question(self, served: Served) -> Question:
        self.refuse_idle_fields()
        if self.messages[-1].role not in ("user", "tool"):
            raise DataError(
                "serve.last_message_not_user",
                "The last of messages has to be the user's or a tool's, for the model to answer.",
            )
        if self.top_logprobs is not None and not self.logprobs:
            raise DataError(
                "serve.top_logprobs_without_logprobs",
                "top_logprobs is told with logprobs alone: set logprobs to true, or leave it out.",
            )
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise DataError(
                "serve.max_tokens_twice",
                "max_tokens and max_completion_tokens are two names for one thing. Send one of them.",
            )
        prompt = served.prompt_of_messages([message.turn() for message in self.messages])
        wanted = self.max_completion_tokens or self.max_tokens
        shown = (self.top_logprobs or 0) if self.logprobs else None
        room = served.room_after(prompt, wanted)
        return Question(self.model, prompt, room, self.sampling(), self.stops(), shown)


class CompletionRequest(_Common):
    """A request to /v1/completions: a text that is gone on with, outside any prompt style."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: int | None = Field(None, ge=0, le=5)
    echo: Literal[False] = False
    best_of: Literal[1] = 1
    suffix: None = None

    def question(self, served: Served) -> Question:
        self.refuse_idle_fields()
        text = self.prompt if isinstance(self.prompt, str) else self.prompt[0]
        prompt = served.prompt_of_text(text) if text else ()
        if not prompt:
            raise DataError("serve.empty_prompt", "The prompt is empty, so there is nothing to go on with.")
        room = served.room_after(
            prompt, self.max_tokens or 16
        )  # 16 is what the interface says of a request without
        return Question(self.model, prompt, room, self.sampling(), self.stops(), self.logprobs)


def read_request(kind: type[Asked], body: bytes) -> Asked:
    """Return a request; DataError names each field that is wrong, with what it may be. A field of null is left out."""
    try:
        value: Any = json.loads(body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as fault:
        raise DataError("serve.malformed_json", f"The request is not JSON: {fault}.") from fault
    if isinstance(value, dict):
        value = {
            name: given for name, given in value.items() if given is not None or name not in kind.model_fields
        }
    try:
        return kind.model_validate(value)
    except ValidationError as fault:
        told = "; ".join(
            f"{'.'.join(map(str, error['loc']))[:80] or 'the request'}: {_in_words(error)}"
            for error in fault.errors()[:5]
        )
        raise DataError("serve.unsupported_request", f"The request cannot be answered: {told}.") from fault


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice in an object, where a reader would have to choose what was meant."""
    if len(value := dict(pairs)) < len(pairs):
        [(name, times)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name[:80]!r} stands {times} times in one object")
    return value


def _in_words(error: Any) -> str:
    return "this server has no such field" if error["type"] == "extra_forbidden" else str(error["msg"])
