"""Puts questions to one judge: several at once, each reply kept, and an end where it stops replying."""

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tutelage.codes import Message
from tutelage.errors import LanguageModelError
from tutelage.evaluation.judge.cached_responses import CachedResponses
from tutelage.evaluation.judge.costs import JudgeBudget
from tutelage.evaluation.judge.judgements import LEFT_OUT, Judgement, fault_of
from tutelage.evaluation.judge.protocol import JudgeRequest, once_more
from tutelage.evaluation.judge.responses import UnreadableReplyError, Value
from tutelage.llm.language_models import ChatModel
from tutelage.llm.server_responses import Reply

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
# Tells of the judgements from the first one on, in order, whether the rest is of no use.
IsHopeless = Callable[[Sequence[Judgement]], bool]
# A judge whose server says this has no more to say to any question.
FINAL_CODES = {"llm.quota_exhausted"}


@dataclass
class JudgeSession:
    """One judge while it is asked.

    `open` is called before the first question whose reply is not kept yet, so that a repeated evaluation needs no
    judge at all.
    """

    load_model: Callable[[], ChatModel]
    kept: CachedResponses
    limit: int | None
    concurrency: int
    judge_budget: JudgeBudget | None = None
    max_tokens: int = MAX_TOKENS
    requests_made: int = 0
    failures_in_a_row: int = 0
    closed_because: str | None = None
    _model: ChatModel | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(
        self,
        requests: Sequence[JudgeRequest],
        advance: Advance,
        *,
        probes: int = 0,
        is_hopeless: IsHopeless = lambda judged: False,
    ) -> list[Judgement]:
        """Return one judgement for each inquiry; equal inquiries are asked once. `advance(n)` after n of them.

        The first `probes` of them are a test: as soon as it `is_hopeless`, the rest is left out. What that is hangs on
        the replies alone and not on how many were under way, so that a repeated evaluation leaves out the same.
        """
        places: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            places.setdefault(self._key(request), []).append(index)
        judgements: list[Judgement | None] = [None] * len(requests)
        first, stop = 0, threading.Event()

        def settle(key: str, judgement: Judgement) -> None:
            nonlocal first
            for index in places[key]:
                judgements[index] = judgement
            advance(len(places[key]))
            while not stop.is_set() and first < probes and judgements[first] is not None:
                first += 1
                if is_hopeless([one for one in judgements[:first] if one is not None]):
                    stop.set()

        new: dict[str, JudgeRequest] = {}
        # What is kept comes first, or a hopeless judge would be asked once more.
        for key, at in places.items():
            judgement = self._judged_before(requests[at[0]])
            if judgement is None:
                new[key] = requests[at[0]]
            else:
                settle(key, judgement)
        for key, judgement in self._side_by_side(new, stop):
            settle(key, judgement)
        if stop.is_set():
            judgements[first:] = [LEFT_OUT] * (len(requests) - first)
        return [judgement for judgement in judgements if judgement is not None]

    def _judged_before(self, request: JudgeRequest) -> Judgement | None:
        """Return the judgement by the replies that are kept, or None where one of them is not there yet."""

        def kept_reply(request: JudgeRequest) -> Reply:
            reply = self.kept.recall(self._key(request))
            if reply is None:
                raise _NotKeptError
            return reply

        try:
            return self._one(request, kept_reply)
        except _NotKeptError:
            return None

    def _side_by_side(
        self, requests: Mapping[str, JudgeRequest], stop: threading.Event
    ) -> Iterator[tuple[str, Judgement]]:
        waiting: queue.SimpleQueue[tuple[str, JudgeRequest]] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[str, Judgement | BaseException]] = queue.SimpleQueue()
        for item in requests.items():
            waiting.put(item)

        def work() -> None:
            while True:
                try:
                    key, request = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    done.put((key, LEFT_OUT if stop.is_set() else self._one(request, self._reply)))
                except BaseException as fault:
                    stop.set()  # or the others would go on asking, and paying, behind the message
                    done.put((key, fault))
                    return

        # Daemons: whoever presses Ctrl-C should not wait for a judge that takes minutes for a reply.
        for _ in range(min(self.concurrency, len(requests))):
            threading.Thread(target=work, daemon=True).start()
        for _ in requests:
            key, outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield key, outcome

    def _one(self, request: JudgeRequest, reply_to: Callable[[JudgeRequest], Reply]) -> Judgement:
        responses: list[Reply] = []
        faults: list[Message] = []

        def judged(value: Value | None, reason: Message | None, **facts: bool) -> Judgement:
            return Judgement(
                value,
                reason.text if reason else None,
                tuple(reply.text for reply in responses),
                code=reason.code if reason else None,
                faults=tuple(faults),
                models=tuple(reply.model for reply in responses if reply.model is not None),
                left_out=tuple(sorted({part for reply in responses for part in reply.left_out})),
                **facts,
            )

        for _ in range(1 + RETRIES):
            if faults:
                request = once_more(request, responses[-1].text, faults[-1].text)
            try:
                responses.append(reply_to(request))
                return judged(request.read(responses[-1].text), None)
            except UnreadableReplyError as fault:
                faults.append(fault_of(responses[-1], fault, self.max_tokens))
            except LanguageModelError as fault:
                return judged(None, Message(fault.code, f"no reply: {fault}"), is_unasked=True)
            except _NotAskedError as fault:
                return judged(None, Message(fault.code, f"not asked: {fault}"), is_unasked=True)
        return judged(None, faults[-1])

    def _reply(self, request: JudgeRequest) -> Reply:
        key = self._key(request)
        if self.kept.recall(key) is None:
            reply = self._ask(request)
            self.kept.keep(key, reply.text, reply)
        kept = self.kept.recall(key)
        assert kept is not None
        return kept

    def _ask(self, request: JudgeRequest) -> Reply:
        with self._lock:
            self.check_may_ask(is_new=True)
            self._model = self._model or self.load_model()
        try:
            reply = self._model.ask(
                request.messages,
                seed=SEED,
                temperature=TEMPERATURE,
                max_tokens=self.max_tokens,
                json_schema=request.json_schema,
                meter=Tries(self, request),
            )
        except LanguageModelError as fault:
            self._count_failure(fault)
            raise
        self.failures_in_a_row = 0
        used_up = (reply.output_tokens or 0) >= self.max_tokens
        return replace(reply, is_cut=reply.is_cut or used_up)

    def begin_try(self, most: Fraction, *, is_first: bool) -> None:
        """Charge a try before it is sent; _NotAskedError where it must not be."""
        with self._lock:
            self.check_may_ask(is_new=is_first)
            if self.judge_budget and not self.judge_budget.charge(most):
                spent = f"of which {float(self.judge_budget.spent):.4g} is spent"
                raise _NotAskedError(
                    "judge.budget_spent", f"evaluation.judge_budget is {self.judge_budget.budget:g}, {spent}"
                )
            self.requests_made += is_first

    def end_try(self, most: Fraction, reply: Reply | None, *, was_sent: bool) -> None:
        """Settle a try, and ask no more where its server keeps no limit and there is a budget."""
        if self.judge_budget is None:
            return
        self.judge_budget.settle(most, reply, was_sent=was_sent)
        if self.judge_budget.is_unbounded and self.judge_budget.budget is not None:
            self.closed_because = self.closed_because or (
                "its server counts more tokens than it was allowed, so that nothing bounds what it costs; raise"
                " evaluation.judge_max_tokens, or leave evaluation.judge_budget out"
            )

    def check_may_ask(self, *, is_new: bool) -> None:
        """Raise _NotAskedError where nothing may be asked any more, or no new question."""
        if self.closed_because is not None:
            raise _NotAskedError("judge.gave_up", self.closed_because)
        if is_new and self.limit is not None and self.requests_made >= self.limit:
            raise _NotAskedError("judge.limit_reached", f"evaluation.judge_limit is {self.limit}")

    def cost_of_new(self, requests: Iterable[JudgeRequest]) -> tuple[int, float]:
        """Return how many inquiries have no reply yet, and the most that they cost if each is asked once."""
        new = {self._key(request): request for request in requests}
        unasked = [request for key, request in new.items() if self.kept.get(key) is None]
        costs = (
            [self.judge_budget.most(request, self.max_tokens) for request in unasked]
            if self.judge_budget
            else []
        )
        return len(unasked), float(sum(costs))

    def _count_failure(self, fault: LanguageModelError) -> None:
        with self._lock:
            self.failures_in_a_row += 1
            if fault.code in FINAL_CODES:
                self.closed_because = str(fault)
            elif self.failures_in_a_row >= MOST_FAILURES:
                self.closed_because = f"{MOST_FAILURES} questions in a row had no reply; the last: {fault}"

    def _key(self, request: JudgeRequest) -> str:
        asked: list[Any] = [request.messages, SEED, TEMPERATURE, self.max_tokens, request.json_schema]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass
class Tries:
    """The tries of one question, each charged by itself: a server may have worked for one that brought nothing."""

    session: JudgeSession
    request: JudgeRequest
    is_first: bool = True

    def begin(self) -> None:
        self.session.begin_try(self._most(), is_first=self.is_first)
        self.is_first = False

    def end(self, reply: Reply | None, *, was_sent: bool) -> None:
        self.session.end_try(self._most(), reply, was_sent=was_sent)

    def _most(self) -> Fraction:
        judge_budget = self.session.judge_budget
        return judge_budget.most(self.request, self.session.max_tokens) if judge_budget else Fraction(0)


class _NotAskedError(Exception):
    """The question was not put, because of a limit or because the judge is gone."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _NotKeptError(Exception):
    """No reply to the question is kept yet."""
