"""What an engine is asked, and what it tells: the one vocabulary of the server, the chat and both engines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tutelage.codes import Message
from tutelage.generation.sampling import Sampling

MOST_LOGPROBS = 20

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class GenerationRequest:
    """What one model is asked. `top_logprobs` are told beside each token, None tells none.

    The answer to one that `is_repeatable` depends on nothing that is asked at the same time or was asked before, not
    even in the last bits of its logits, so that its seed gives the same answer again.
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
    """A token with its log-probability in nats, and the likeliest ones beside it."""

    token: int
    log_prob: float
    top: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Piece:
    """A part of an answer as it comes; the last one has a `finish_reason`, and a `fault` if something went wrong.

    `tokens` counts those of the answer so far, without its end of turn; the last piece has the final count.
    """

    text: str
    tokens: int
    log_prob: TokenLogProb | None = None
    finish_reason: FinishReason | None = None
    fault: Message | None = None


OnPiece = Callable[[Piece], None]
Cancel = Callable[[], None]


class Engine(Protocol):
    """Requests come from any thread; `on_piece` gets each piece of the answer, in a thread of the engine."""

    @property
    def unanswered(self) -> int:
        """How many questions are being answered or wait."""
        ...

    def ask(self, question: GenerationRequest, on_piece: OnPiece) -> Cancel:
        """Begin to answer; return what stops the answer, after which nothing more is told."""
        ...

    def close(self) -> None:
        """Stop answering."""
        ...
