"""Answer for the tuned model with llama.cpp from a verified export; the run's own weights serve everything
else.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tutelage.codes import Message
from tutelage.generation.llama_cpp import LlamaCpp
from tutelage.generation.sampling import Sampling
from tutelage.serve.generation_requests import Cancel, Engine, FinishReason, GenerationRequest, OnPiece, Piece
from tutelage.serve.queue import Queue

# llama.cpp treats the next number as "random", and truncates larger ones to 32 bits.
SEEDS = 2**32 - 1


class LlamaEngine:
    """Answers with a model in llama.cpp; `otherwise` serves the base model and requests for log-probabilities.

    llama.cpp reports no log-probabilities for a token that ends within a character. Parallel answers share its
    batches, and an answer can reuse the cache of an earlier one with the same prefix; a repeatable answer runs
    alone and reuses nothing.
    """

    def __init__(self, model: LlamaCpp, *, otherwise: Engine) -> None:
        self._model = model
        self._otherwise = otherwise
        self._workers = ThreadPoolExecutor(model.at_once, thread_name_prefix="llama.cpp")
        self._room = Queue()
        self._changed = threading.Lock()
        self._own_unanswered = 0
        self._closing = threading.Event()

    @property
    def unanswered(self) -> int:
        """Number of requests that are running or queued, in both engines."""
        return self._own_unanswered + self._otherwise.unanswered

    def ask(self, question: GenerationRequest, on_piece: OnPiece) -> Cancel:
        """Start to answer; return a function that stops the answer at its next token."""
        if question.variant != "tuned" or question.top_logprobs is not None:
            return self._otherwise.ask(question, on_piece)
        cancelled = threading.Event()
        self._count(1)
        self._workers.submit(self._answer, question, on_piece, cancelled)
        return cancelled.set

    def close(self) -> None:
        self._closing.set()
        self._workers.shutdown(cancel_futures=True)
        self._otherwise.close()

    def _answer(self, question: GenerationRequest, on_piece: OnPiece, cancelled: threading.Event) -> None:
        answering = _Answering(question, on_piece, lambda: cancelled.is_set() or self._closing.is_set())
        try:
            with self._room.entered(alone=question.is_repeatable):
                answering.begin(self._model)
        except Exception as fault:  # any error must be reported to the client
            answering.fail(f"{type(fault).__name__}: {fault}")
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._own_unanswered += change


class _Answering:
    """Converts llama.cpp's stream for one answer to pieces."""

    def __init__(self, question: GenerationRequest, on_piece: OnPiece, is_left: Callable[[], bool]) -> None:
        self._question = question
        self._on_piece = on_piece
        self._is_left = is_left
        self._tokens = 0
        self._finish_reason: FinishReason | None = None

    def begin(self, model: LlamaCpp) -> None:
        """Answer completely, unless the client has left."""
        if self._is_left():
            return
        question = self._question
        sampling = question.sampling or Sampling(temperature=0)
        model.complete(
            question.prompt,
            self._hear,
            max_new_tokens=question.max_new_tokens,
            stop=question.stop,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed % SEEDS,
            takes_over=not question.is_repeatable,
        )
        if self._finish_reason is None and not self._is_left():
            self.fail("llama.cpp ended an answer without a finish reason")

    def fail(self, fault: str) -> None:
        self._finish_reason = "error"
        self._on_piece(Piece("", self._tokens, None, "error", Message("serve.engine_failed", fault)))

    def _hear(self, part: Mapping[str, Any]) -> bool:
        """Handle one part of the stream; return whether to end it."""
        if self._is_left():
            return True
        if "error" in part:
            self.fail(str(part["error"].get("message")))
            return True
        [choice] = part["choices"]
        if choice["finish_reason"] is None:
            self._tokens += 1
            self._on_piece(Piece(choice["text"], self._tokens))
            return False
        self._finish_reason = choice["finish_reason"]
        # llama.cpp also counts the end-of-turn token; with stop strings it does not say which one it was.
        ended_itself = self._finish_reason == "stop" and not self._question.stop
        tokens = part["usage"]["completion_tokens"] - ended_itself
        self._on_piece(Piece(choice["text"], tokens, None, self._finish_reason))
        return False
