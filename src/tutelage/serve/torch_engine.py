"""One thread that owns the models and answers all requests in parallel, one token per step.

torch is imported when the first model is loaded, because another engine may serve all requests.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tutelage.codes import Message
from tutelage.errors import MemoryExhaustedError, TutelageError
from tutelage.generation.sampling import next_tokens
from tutelage.serve.answer_text import AnswerText
from tutelage.serve.generation_requests import (
    Cancel,
    FinishReason,
    GenerationRequest,
    OnPiece,
    Piece,
    TokenLogProb,
)
from tutelage.serve.one_at_a_time import OneAtATime
from tutelage.system.system_errors import is_short_of_memory

if TYPE_CHECKING:
    import torch

    from tutelage.generation.continuous_batch import Batch, NextTokens
    from tutelage.model.forward import CausalModel


_Place = tuple[str, bool]  # variant, and whether answers are repeatable

SMALLEST = "one answer and its prompt"
WAY_OUT = "Close other programs, shorten the prompt, or lower max_tokens"


@dataclass
class _Answering:
    question: GenerationRequest
    on_piece: OnPiece
    text: AnswerText
    ids: list[int] = field(default_factory=list)


class TorchEngine:
    """Answers with the run's own weights, base and tuned, as in evaluation."""

    def __init__(
        self,
        load_variant: Mapping[str, Callable[[], CausalModel]],
        tokenizer: Any,
        *,
        end_tokens: Collection[int],
        at_once: int,
    ) -> None:
        self._load_variant = load_variant  # models are loaded on demand
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        self._at_once = at_once
        self._numbers = itertools.count()
        self._models: dict[str, CausalModel] = {}
        self._batches: dict[_Place, Batch] = {}
        # Batch sizes, which may be reduced for lack of memory.
        self._sizes: dict[_Place, int] = {}
        self._answering: dict[int, _Answering] = {}
        self._wanted: list[tuple[str, Future[None]]] = []  # models to load
        self._asked: list[int] = []
        self._cancelled: list[int] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def unanswered(self) -> int:
        """Number of requests that are running or queued."""
        return len(self._answering)

    def ask(self, question: GenerationRequest, on_piece: OnPiece) -> Cancel:
        """Start to answer; return a function that stops the answer, without effect if it is already complete."""
        answering = _Answering(question, on_piece, AnswerText(self._tokenizer, question.stop))
        with self._changed:
            number = next(self._numbers)
            self._answering[number] = answering
            self._asked.append(number)
            self._changed.notify()
        return partial(self._cancel, number)

    def _cancel(self, number: int) -> None:
        with self._changed:
            self._cancelled.append(number)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def load(self, variant: str) -> None:
        """Load a model before the first request; errors are raised here.

        The engine's thread loads it, like everything that involves torch. OpenMP creates a thread team per
        calling thread; with more threads than cores, they would all sleep after each product.
        """
        opened: Future[None] = Future()
        with self._changed:
            self._wanted.append((variant, opened))
            self._changed.notify()
        opened.result()

    def _open(self, variant: str, *, is_alone: bool = False) -> Batch:
        """Return a batch of a model, which is loaded on demand; with `is_alone`, answers run one at a time."""
        place, size = (variant, is_alone), 1 if is_alone else self._at_once
        if variant not in self._models:
            self._models[variant] = self._load_variant[variant]()
        # A reduced batch may fit at full size once it is empty.
        if place not in self._batches or (self._sizes[place] < size and not self._batches[place].is_busy):
            self._make_batch(place, size)
        return self._batches[place]

    def _make_batch(self, place: _Place, size: int) -> None:
        """Replace a batch with an empty one, after its memory is freed."""
        from tutelage.generation.continuous_batch import make_batch  # noqa: PLC0415 - imports torch

        variant, is_alone = place
        self._batches.pop(place, None)
        batch = make_batch(self._models[variant], size=size)
        self._batches[place] = OneAtATime(batch) if is_alone else batch
        self._sizes[place] = size

    def _work(self) -> None:
        while self._take_notice():
            for place in [place for place, batch in self._batches.items() if batch.is_busy]:
                self._advance(place)

    def _take_notice(self) -> bool:
        """Wait for something to do and start it; return whether to continue."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closing
                    or self._wanted
                    or self._asked
                    or self._cancelled
                    or any(batch.is_busy for batch in self._batches.values())
                )
            )
            wanted, self._wanted = self._wanted, []
            asked, self._asked = self._asked, []
            cancelled, self._cancelled = self._cancelled, []
        if self._closing:
            return False
        for variant, opened in wanted:
            try:
                self._open(variant)
            except BaseException as fault:  # it belongs to the waiting thread
                opened.set_exception(fault)
            else:
                opened.set_result(None)
        for number in asked:
            answering = self._answering[number]
            question = answering.question
            try:
                batch = self._open(question.variant, is_alone=question.is_repeatable)
            except Exception as fault:  # the thread must continue, or no request would be answered any more
                self._finish(number, "error", fault=_message_of(fault))
                continue
            batch.ask(number, [*question.prompt, *answering.ids])
        for number in cancelled:
            answering = self._answering.pop(number, None)
            if answering is not None and (batch := self._batches.get(_place_of(answering.question))):
                batch.end(number)
        return True

    def _advance(self, place: _Place) -> None:
        """Generate one token for each answer in a batch, with half the batch size if memory runs out."""
        from tutelage.model.short_memory import in_smaller_batches  # noqa: PLC0415 - imports torch

        try:
            in_smaller_batches(partial(self._step, place), self._sizes[place], what=SMALLEST, way_out=WAY_OUT)
        except Exception as fault:  # any error must be reported to the clients, while others are still served
            self._give_up(place, fault)

    def _step(self, place: _Place, size: int) -> None:
        if size < self._sizes[place]:
            self._make_batch(place, size)
            for number in self._taken_up(place):
                answering = self._answering[number]
                self._batches[place].ask(number, [*answering.question.prompt, *answering.ids])
        batch = self._batches[place]
        following = batch.step()
        for number, row in zip(following.keys, following.rows, strict=True):
            self._follow(batch, number, _row(following, number, row))

    def _follow(self, batch: Batch, number: int, following: NextTokens) -> None:
        """Choose and send the next token of an answer, and end the answer if it is complete."""
        answering = self._answering[number]
        question = answering.question
        [token] = next_tokens(following.logits, [0], [(0, len(answering.ids))], question.sampling)
        if token in self._end_tokens:
            batch.end(number)
            self._finish(number, "stop")
            return
        log_prob = (
            None
            if question.top_logprobs is None
            else log_prob_of(following.logits[0], token, question.top_logprobs)
        )
        # Append only now that nothing can fail, or a retry with a smaller batch would continue after it.
        answering.ids.append(token)
        text = answering.text.add(token)
        answering.on_piece(Piece(text, len(answering.ids), log_prob))
        if answering.text.is_stopped or len(answering.ids) == question.max_new_tokens:
            batch.end(number)
            self._finish(number, "stop" if answering.text.is_stopped else "length")
        else:
            batch.give(number, token)

    def _finish(self, number: int, reason: FinishReason, *, fault: Message | None = None) -> None:
        answering = self._answering.pop(number)
        answering.on_piece(Piece(answering.text.finish(), len(answering.ids), None, reason, fault))

    def _give_up(self, place: _Place, fault: Exception) -> None:
        """Report an error to all clients of a batch; the next request gets a new batch.

        If memory ran out, only the longest-waiting request fails; the others are asked again.
        """
        waiting = self._taken_up(place)
        answered = waiting[:1] if isinstance(fault, MemoryExhaustedError) else waiting
        for number in answered:
            self._finish(number, "error", fault=_message_of(fault))
        self._batches.pop(place, None)
        with self._changed:
            self._asked = [*waiting[len(answered) :], *self._asked]

    def _taken_up(self, place: _Place) -> list[int]:
        """Return the unfinished requests of a batch, in order of arrival."""
        with self._changed:
            return [
                number
                for number, one in self._answering.items()
                if _place_of(one.question) == place and number not in self._asked
            ]


def _message_of(fault: Exception) -> Message:
    if isinstance(fault, TutelageError):
        return Message(fault.code, str(fault))
    if is_short_of_memory(fault):
        return Message("device.out_of_memory", f"There is not enough memory for the model. {WAY_OUT}.")
    return Message("serve.engine_failed", f"{type(fault).__name__}: {fault}")


def _place_of(question: GenerationRequest) -> _Place:
    return question.variant, question.is_repeatable


def _row(following: NextTokens, number: int, row: int) -> NextTokens:
    return replace(following, logits=following.logits[row : row + 1], rows=[0], keys=[number])


def log_prob_of(logits: torch.Tensor, token: int, top: int) -> TokenLogProb:
    """Return the log-probabilities to report for a token, from its logits (vocabulary,), at temperature 1."""
    log_probs = logits.float().log_softmax(dim=-1)
    values, tokens = log_probs.topk(top) if top else (log_probs[:0], log_probs[:0])
    return TokenLogProb(
        token,
        log_probs[token].item(),
        list(zip(map(int, tokens.tolist()), values.tolist(), strict=True)),
    )
