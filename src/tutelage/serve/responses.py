"""Format answers as OpenAI's chat completions and completions, whole or streamed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.serve.generation_requests import Piece, TokenLogProb

TextOf = Callable[[int], str]


@dataclass(frozen=True)
class Form:
    """The differences between the two kinds of responses: names, content and log-probabilities."""

    name: str
    part_name: str
    prefix: str
    content: Callable[[str], dict[str, Any]]
    part_content: Callable[[str, bool], dict[str, Any]]  # (text, whether it is the first part)
    log_probs: Callable[[Sequence[TokenLogProb], TextOf], dict[str, Any]]


@dataclass(frozen=True)
class CompletionResponse:
    """The response to one request."""

    form: Form
    model: str
    prompt_tokens: int
    tokenizer: Any
    number: int
    seed: int | None = None  # for sampling, if any
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """Return the response with all pieces of an answer."""
        told = [piece.log_prob for piece in pieces if piece.log_prob]
        text = "".join(piece.text for piece in pieces)
        choice = self._choice(self.form.content(text), told, pieces[-1].finish_reason)
        return {**self._head(self.form.name), "choices": [choice], "usage": self._usage(pieces[-1].tokens)}

    def part(self, piece: Piece, *, is_first: bool) -> dict[str, Any]:
        """Return one part of a stream; only the first has the role, because clients concatenate parts."""
        told = [piece.log_prob] if piece.log_prob else []
        content = self.form.part_content(piece.text, is_first)
        return {
            **self._head(self.form.part_name),
            "choices": [self._choice(content, told, piece.finish_reason)],
        }

    def usage_part(self, tokens: int) -> dict[str, Any]:
        """Return the part with the token counts, if requested."""
        return {**self._head(self.form.part_name), "choices": [], "usage": self._usage(tokens)}

    def _head(self, name: str) -> dict[str, Any]:
        completion_id = f"{self.form.prefix}-{self.created}-{self.number}"
        return {
            "id": completion_id,
            "object": name,
            "created": self.created,
            "model": self.model,
            # The only field for such information that most clients pass on.
            "system_fingerprint": None if self.seed is None else f"seed-{self.seed}",
        }

    def _choice(
        self, content: Mapping[str, Any], told: Sequence[TokenLogProb], finish_reason: str | None
    ) -> dict[str, Any]:
        return {
            "index": 0,
            **content,
            "logprobs": self.form.log_probs(told, self._text_of) if told else None,
            "finish_reason": finish_reason,
        }

    def _usage(self, tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
        }

    def _text_of(self, token: int) -> str:
        return self.tokenizer.decode([token])


def _chat_content(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}


def _chat_part_content(text: str, is_first: bool) -> dict[str, Any]:
    return {"delta": {**({"role": "assistant"} if is_first else {}), "content": text}}


def _chat_log_probs(told: Sequence[TokenLogProb], text_of: TextOf) -> dict[str, Any]:
    def entry(token: int, log_prob: float) -> dict[str, Any]:
        text = text_of(token)
        return {"token": text, "logprob": log_prob, "bytes": list(text.encode())}

    return {
        "content": [
            {**entry(one.token, one.log_prob), "top_logprobs": [entry(*other) for other in one.top]}
            for one in told
        ],
        "refusal": None,
    }


def _completion_content(text: str) -> dict[str, Any]:
    return {"text": text}


def _completion_part_content(text: str, is_first: bool) -> dict[str, Any]:
    return {"text": text}


def _completion_log_probs(told: Sequence[TokenLogProb], text_of: TextOf) -> dict[str, Any]:
    return {
        "tokens": [text_of(one.token) for one in told],
        "token_logprobs": [one.log_prob for one in told],
        "top_logprobs": [{text_of(token): value for token, value in one.top} for one in told],
        "text_offset": None,
    }


CHAT = Form(
    "chat.completion",
    "chat.completion.chunk",
    "chatcmpl",
    _chat_content,
    _chat_part_content,
    _chat_log_probs,
)
COMPLETION = Form(
    "text_completion",
    "text_completion",
    "cmpl",
    _completion_content,
    _completion_part_content,
    _completion_log_probs,
)
