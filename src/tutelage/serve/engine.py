"""One thread that owns the models and answers all questions at once, a token of each a step."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tutelage.errors import TutelageError
from tutelage.generation.continuous_batch import Batch, NextTokens, open_batch
from tutelage.generation.sampling import Sampling, next_tokens
from tutelage.model.forward import CausalModel
from tutelage.serve.answer_text import AnswerText

MOST_LOGPROBS = 20

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True)
class Question:
    """What one model is asked. `top_logprobs` are told beside each token, None tells none."""

    arm: str  # base or tuned
    prompt: tuple[int, ...]
    max_new_tokens: int
    sampling: Sampling | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None


@dataclass(frozen=True)
class TokenLogProb:
    """A token with its log-probability in nats, and the likeliest ones beside it."""

    token: int
    log_prob: float
    top: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Piece:
    """A part of an answer as it comes; the last one has a `finish_reason`, and a `fault` if something went wrong."""

    text: str
    tokens: int  # of the answer so far
    log_prob: TokenLogProb | None = None
    finish_reason: FinishReason | None = None
    fault: str | None = None


@dataclass
class _Answering:
    question: Question
    tell: Callable[[Piece], None]
    text: AnswerText
    ids: list[int] = field(default_factory=list)


class Engine:
    """Questions come from any thread; `tell` is called with each piece of the answer, from the engine's own thread."""

    def __init__(
        self,
        open_arm: Mapping[str, Callable[[], CausalModel]],
        tokenizer: Any,
        *,
        end_of_turn: int,
        at_once: int,
    ) -> None:
        self._open_arm = open_arm  # a model is opened when it is first asked
        self._tokenizer = tokenizer
        self._end_of_turn = end_of_turn
        self._at_once = at_once
        self._numbers = itertools.count()
        self._batches: dict[str, Batch] = {}
        self._answering: dict[int, _Answering] = {}
        self._asked: list[int] = []
        self._cancelled: list[int] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def unanswered(self) -> int:
        """How many questions are being answered or wait."""
        return len(self._answering)

    def ask(self, question: Question, tell: Callable[[Piece], None]) -> int:
        """Begin to answer; return the number by which the question can be cancelled."""
        answering = _Answering(question, tell, AnswerText(self._tokenizer, question.stop))
        with self._changed:
            number = next(self._numbers)
            self._answering[number] = answering
            self._asked.append(number)
            self._changed.notify()
        return number

    def cancel(self, number: int) -> None:
        """Stop answering; nothing more is told. A question that is answered already is left as it is."""
        with self._changed:
            self._cancelled.append(number)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def open(self, arm: str) -> None:
        """Load a model before the first question; call it from no other thread while questions are answered."""
        if arm not in self._batches:
            self._batches[arm] = open_batch(self._open_arm[arm](), size=self._at_once)

    def _work(self) -> None:
        while self._take_notice():
            for arm, batch in list(self._batches.items()):
                if batch.is_busy:
                    try:
                        self._step(batch)
                    except (
                        Exception
                    ) as fault:  # of whatever kind: who waits must hear of it, and others be answered
                        self._give_up(arm, fault)

    def _take_notice(self) -> bool:
        """Wait for something to do, take it up, and tell whether to go on."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closing
                    or self._asked
                    or self._cancelled
                    or any(batch.is_busy for batch in self._batches.values())
                )
            )
            asked, self._asked = self._asked, []
            cancelled, self._cancelled = self._cancelled, []
        if self._closing:
            return False
        for number in asked:
            question = self._answering[number].question
            try:
                self.open(question.arm)
            except TutelageError as fault:
                self._finish(number, "error", fault=str(fault))
                continue
            self._batches[question.arm].ask(number, question.prompt)
        for number in cancelled:
            answering = self._answering.pop(number, None)
            if answering is not None and answering.question.arm in self._batches:
                self._batches[answering.question.arm].end(number)
        return True

    def _step(self, batch: Batch) -> None:
        following = batch.step()
        for number, row in zip(following.keys, following.rows, strict=True):
            self._follow(batch, number, _row(following, number, row))

    def _follow(self, batch: Batch, number: int, following: NextTokens) -> None:
        """Choose the next token of one answer, tell it, and end the answer where it ends."""
        answering = self._answering[number]
        question = answering.question
        [token] = next_tokens(following.logits, [0], [(0, len(answering.ids))], question.sampling)
        if token == self._end_of_turn:
            batch.end(number)
            self._finish(number, "stop")
            return
        answering.ids.append(token)
        text = answering.text.add(token)
        log_prob = (
            None
            if question.top_logprobs is None
            else log_prob_of(following.logits[0], token, question.top_logprobs)
        )
        answering.tell(Piece(text, len(answering.ids), log_prob))
        if answering.text.is_stopped or len(answering.ids) == question.max_new_tokens:
            batch.end(number)
            self._finish(number, "stop" if answering.text.is_stopped else "length")
        else:
            batch.give(number, token)

    def _finish(self, number: int, reason: FinishReason, *, fault: str | None = None) -> None:
        answering = self._answering.pop(number)
        answering.tell(Piece(answering.text.finish(), len(answering.ids), None, reason, fault))

    def _give_up(self, arm: str, fault: Exception) -> None:
        """Tell all who asked a model that it could not answer; the next question finds an empty batch."""
        for number in [n for n, one in self._answering.items() if one.question.arm == arm]:
            self._batches[arm].end(number)
            self._finish(number, "error", fault=f"{type(fault).__name__}: {fault}")


def _row(following: NextTokens, number: int, row: int) -> NextTokens:
    return NextTokens(following.logits[row : row + 1], [0], [number])


def log_prob_of(logits: torch.Tensor, token: int, top: int) -> TokenLogProb:
    """Return what is told of one token, from the logits (vocabulary,) that it was chosen by, at temperature 1."""
    log_probs = logits.float().log_softmax(dim=-1)
    values, tokens = log_probs.topk(top) if top else (log_probs[:0], log_probs[:0])
    return TokenLogProb(
        token,
        log_probs[token].item(),
        list(zip(map(int, tokens.tolist()), values.tolist(), strict=True)),
    )
