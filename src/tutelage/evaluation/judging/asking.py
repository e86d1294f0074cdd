"""Puts questions to one judge: several at once, each reply kept, and an end where it stops replying."""

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.codes import Message
from tutelage.errors import LanguageModelError
from tutelage.evaluation.judging.costs import Purse
from tutelage.evaluation.judging.kept_replies import KeptReplies
from tutelage.evaluation.judging.protocol import Inquiry, once_more
from tutelage.evaluation.judging.replies import UnreadableReplyError, Value
from tutelage.language_models import ChatModel
from tutelage.server_replies import Reply

# As in the book.
SEED, TEMPERATURE = 123, 0.0
MAX_TOKENS = 64
RETRIES = 2
# Tells that so many more questions are done.
Advance = Callable[[int], None]
# Begins a bar for so many questions to a judge, and gives the function that advances it.
Progress = Callable[[str, int], Advance]
# After so many questions in a row without a reply, the judge is taken to be gone and is left alone.
MOST_FAILURES = 3


@dataclass(frozen=True)
class Judgement:
    """What a judge said to one question: a value, or None with the reason, and each of its replies as it came.

    `is_unasked` tells that the question, or a retry of it, has no reply yet, so that the same command may bring one.
    """

    value: Value | None
    reason: str | None
    replies: tuple[str, ...]
    is_unasked: bool = False
    code: str | None = None  # of the reason


def told_unasked(judgements: Sequence[Judgement]) -> Message | None:
    """Say how many questions have no reply yet, and why the last; None where all have one."""
    unasked = [judgement.reason for judgement in judgements if judgement.is_unasked]
    if not unasked:
        return None
    told = f"{len(unasked)} questions have no reply yet; the last: {unasked[-1]}"
    return Message("judge.requests_left", told)


@dataclass
class Sitting:
    """One judge while it is asked.

    `open` is called before the first question whose reply is not kept yet, so that a repeated evaluation needs no
    judge at all.
    """

    open: Callable[[], ChatModel]
    kept: KeptReplies
    limit: int | None
    concurrency: int
    purse: Purse | None = None
    asked: int = 0
    failures_in_a_row: int = 0
    closed_because: str | None = None
    _model: ChatModel | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, inquiries: Sequence[Inquiry], advance: Advance) -> list[Judgement]:
        """Return one judgement for each inquiry; equal inquiries are asked once. `advance(n)` after n of them."""
        places: dict[str, list[int]] = {}
        for index, inquiry in enumerate(inquiries):
            places.setdefault(self._key(inquiry), []).append(index)
        judgements: list[Judgement | None] = [None] * len(inquiries)
        for key, judgement in self._side_by_side({key: inquiries[at[0]] for key, at in places.items()}):
            for index in places[key]:
                judgements[index] = judgement
            advance(len(places[key]))
        return [judgement for judgement in judgements if judgement is not None]

    def _side_by_side(self, inquiries: Mapping[str, Inquiry]) -> Iterator[tuple[str, Judgement]]:
        waiting: queue.SimpleQueue[tuple[str, Inquiry]] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[str, Judgement | BaseException]] = queue.SimpleQueue()
        for item in inquiries.items():
            waiting.put(item)

        def work() -> None:
            while True:
                try:
                    key, inquiry = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    done.put((key, self._one(inquiry)))
                except BaseException as fault:
                    done.put((key, fault))

        # Daemons: whoever presses Ctrl-C should not wait for a judge that takes minutes for a reply.
        for _ in range(min(self.concurrency, len(inquiries))):
            threading.Thread(target=work, daemon=True).start()
        for _ in inquiries:
            key, outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield key, outcome

    def _one(self, inquiry: Inquiry) -> Judgement:
        replies: list[str] = []
        reason, code = "", ""
        for _ in range(1 + RETRIES):
            if replies:
                inquiry = once_more(inquiry, replies[-1], reason)
            try:
                replies.append(self._reply(inquiry))
                return Judgement(inquiry.read(replies[-1]), None, tuple(replies))
            except UnreadableReplyError as fault:
                reason, code = str(fault), fault.code
            except LanguageModelError as fault:
                return Judgement(None, f"no reply: {fault}", tuple(replies), is_unasked=True, code=fault.code)
            except _NotAskedError as fault:
                return Judgement(
                    None, f"not asked: {fault}", tuple(replies), is_unasked=True, code=fault.code
                )
        return Judgement(None, reason, tuple(replies), code=code)

    def _reply(self, inquiry: Inquiry) -> str:
        key = self._key(inquiry)
        reply = self.kept.get(key)
        if reply is None:
            reply = self._ask(inquiry)
            self.kept.keep(key, reply)
        return reply

    def _ask(self, inquiry: Inquiry) -> str:
        most = self.purse.most(inquiry, MAX_TOKENS) if self.purse else 0.0
        reply: Reply | None = None
        with self._lock:
            self._refuse_more(most)
            self.asked += 1
            if self.purse:
                self.purse.set_aside += most
        try:
            with self._lock:
                self._model = self._model or self.open()
            reply = self._model.ask(
                inquiry.messages,
                seed=SEED,
                temperature=TEMPERATURE,
                max_tokens=MAX_TOKENS,
                json_schema=inquiry.json_schema,
            )
        except LanguageModelError as fault:
            self._count_failure(str(fault))
            raise
        finally:
            if self.purse:
                with self._lock:
                    self.purse.settle(most, reply)
        self.failures_in_a_row = 0
        return reply.text

    def _refuse_more(self, most: float) -> None:
        if self.closed_because is not None:
            raise _NotAskedError("judge.gave_up", self.closed_because)
        if self.limit is not None and self.asked >= self.limit:
            raise _NotAskedError("judge.limit_reached", f"evaluation.judge_limit is {self.limit}")
        if self.purse and not self.purse.has_room(most):
            raise _NotAskedError(
                "judge.budget_spent",
                f"evaluation.judge_budget is {self.purse.budget:g}, of which {self.purse.spent:.4g} is spent",
            )

    def cost_of_new(self, inquiries: Iterable[Inquiry]) -> tuple[int, float]:
        """Return how many inquiries have no reply yet, and the most that they cost if each is asked once."""
        new = {self._key(inquiry): inquiry for inquiry in inquiries}
        unasked = [inquiry for key, inquiry in new.items() if self.kept.get(key) is None]
        costs = [self.purse.most(inquiry, MAX_TOKENS) for inquiry in unasked] if self.purse else []
        return len(unasked), sum(costs)

    def _count_failure(self, reason: str) -> None:
        with self._lock:
            self.failures_in_a_row += 1
            if self.failures_in_a_row >= MOST_FAILURES:
                self.closed_because = f"{MOST_FAILURES} questions in a row had no reply; the last: {reason}"

    def _key(self, inquiry: Inquiry) -> str:
        asked: list[Any] = [
            inquiry.messages,
            SEED,
            TEMPERATURE,
            MAX_TOKENS,
            inquiry.json_schema,
        ]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class _NotAskedError(Exception):
    """The question was not put, because of a limit or because the judge is gone."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
