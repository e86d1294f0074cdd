"""What a judge on a server costs, by prices that the user gave, and when to stop asking.

Every try is charged at its most before it is sent, so that no number of tries at once can pass the budget, and settled
by the server's count of tokens afterwards. One that brings no count, whatever ended it, stays charged: a server may
have worked for it. There is no list of prices here: nobody would keep it true.
"""

import json
import threading
from dataclasses import dataclass, field
from fractions import Fraction

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.evaluation.judge.ledger import SpentLedger
from tutelage.evaluation.judge.protocol import JudgeRequest
from tutelage.llm.server_responses import Reply

PRICED_TOKENS = 1_000_000  # prices are for so many
FRAME_TOKENS = 16  # what a server may put around each part


@dataclass
class JudgeBudget:
    """What was spent and is set aside in this command, in the currency of the prices; `budget` None is no limit.

    Sums are exact, or a thousand small roundings could pass a budget. `ledger` keeps them for a command that is killed,
    whose next one goes on with what is left.
    """

    price_in: float
    price_out: float
    budget: float | None
    ledger: SpentLedger | None = None
    tries: int = 0
    without_usage: int = 0
    is_unbounded: bool = False  # a reply cost more than its most, so that the server keeps no limit
    spent: Fraction = Fraction(0)
    set_aside: Fraction = Fraction(0)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.ledger is not None:
            self.spent = self.ledger.spent_before

    def most(self, request: JudgeRequest, max_tokens: int) -> Fraction:
        """Return the most that one try of a question can cost: no token stands for less than a byte.

        Some servers put the schema of the reply into the prompt as well.
        """
        texts = [json.dumps(request.json_schema), *(message["content"] for message in request.messages)]
        sent = sum(len(text.encode("utf-8", "surrogatepass")) + FRAME_TOKENS for text in texts)
        return self._cost(sent, max_tokens)

    def has_budget(self, most: Fraction) -> bool:
        return self.budget is None or self.spent + self.set_aside + most <= _exact(self.budget)

    def charge(self, most: Fraction) -> bool:
        """Set the most of a try aside before it is sent; False if the budget has no room for it."""
        with self._lock:
            if not self.has_budget(most):
                return False
            self.set_aside += most
            self.tries += 1
            self._keep()
            return True

    def settle(self, most: Fraction, reply: Reply | None, *, was_sent: bool = True) -> None:
        """Count what a try cost in place of what was set aside for it."""
        with self._lock:
            self.set_aside -= most
            if not was_sent:
                cost = Fraction(0)
            elif reply is None or reply.input_tokens is None or reply.output_tokens is None:
                self.without_usage += 1
                cost = most
            else:
                cost = self._cost(reply.input_tokens, reply.output_tokens)
                self.is_unbounded |= cost > most
            self.spent += cost
            self._keep()

    def describe(self, asked: int) -> str:
        """Say what the questions of this command cost."""
        tries = f" in {self.tries:,} tries" if self.tries != asked else ""
        unknown = (
            f", of which {self.without_usage} returned no token usage and count at their maximum"
            if self.without_usage
            else ""
        )
        before = self.ledger.spent_before if self.ledger is not None else 0
        earlier = f"; {float(before):.4g} of it by a command that was cut short" if before else ""
        return f"{asked:,} questions{tries} for {float(self.spent):.4g} at the prices given{unknown}{earlier}"

    def close(self) -> None:
        """End the command: the next one has the whole budget again."""
        if self.ledger is not None:
            self.ledger.close()

    def _cost(self, input_tokens: int, output_tokens: int) -> Fraction:
        priced = input_tokens * _exact(self.price_in) + output_tokens * _exact(self.price_out)
        return priced / PRICED_TOKENS

    def _keep(self) -> None:
        if self.ledger is not None:
            self.ledger.write(self.spent + self.set_aside)


def _exact(amount: float) -> Fraction:
    """Return an amount as the user wrote it: 0.1 is a tenth."""
    return Fraction(repr(amount))


def make_budget(settings: EvaluationSettings, ledger: SpentLedger) -> JudgeBudget | None:
    """Return the purse of a judge, or None where no prices are given; `ledger` is for those with a budget."""
    if settings.judge_price_in is None or settings.judge_price_out is None:
        return None
    has_budget = settings.judge_budget is not None
    return JudgeBudget(
        settings.judge_price_in,
        settings.judge_price_out,
        settings.judge_budget,
        ledger if has_budget else None,
    )
