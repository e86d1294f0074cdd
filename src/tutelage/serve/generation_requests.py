"""Requests to an engine and its responses, shared by the server, the chat and both engines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tutelage.codes import Message
from tutelage.generation.sampling import Sampling

MOST_LOGPROBS = 20

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class GenerationRequest:
    """A request to one model. `top_logprobs`: number of alternatives to report per token; None for no
    log-probabilities.

    If `is_repeatable`, the answer does not depend on other requests, not even in the last bits of its logits,
    so the same seed gives the same answer.
    """

    variant: str  # base or tuned
    prompt: tuple[int, ...]
    max_new_tokens: int
    sampling: Sampling | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    is_repeatable: bool = False


@dataclass(frozen=True)
class TokenLogProb:
    """A token with its log-probability in nats, and the most likely alternatives."""

    token: int
    log_prob: float
    top: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Piece:
    """A part of an answer; the last one has a `finish_reason`, and a `fault` if there was an error.

    `tokens` is the number of tokens so far, without the end of turn.
    """

    text: str
    tokens: int
    log_prob: TokenLogProb | None = None
    finish_reason: FinishReason | None = None
    fault: Message | None = None


OnPiece = Callable[[Piece], None]
Cancel = Callable[[], None]


class Engine(Protocol):
    """Answers requests from any thread; `on_piece` is called with each piece in a thread of the engine."""

    @property
    def unanswered(self) -> int:
        """Number of requests that are running or queued."""
        ...

    def ask(self, question: GenerationRequest, on_piece: OnPiece) -> Cancel:
        """Start to answer; return a function that stops the answer, after which no more pieces come."""
        ...

    def close(self) -> None:
        """Stop answering."""
        ...
