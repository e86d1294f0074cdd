"""What a judge on a server costs, by prices that the user gave, and when to stop asking.

Before a question is put, the most that it can cost is set aside, so that no number of questions at once can pass the
budget; its reply then costs what the server's usage says. There is no list of prices here: nobody would keep it true.
"""

import json
from dataclasses import dataclass

from tutelage.evaluation.judging.protocol import Inquiry
from tutelage.recipe_evaluation import EvaluationSettings
from tutelage.server_replies import Reply

PRICED_TOKENS = 1_000_000  # prices are for so many
FRAME_TOKENS = 16  # what a server may put around each part


@dataclass
class Purse:
    """What was spent and is set aside in this command, in the currency of the prices; `budget` None is no limit."""

    price_in: float
    price_out: float
    budget: float | None
    spent: float = 0.0
    set_aside: float = 0.0
    without_usage: int = 0

    def most(self, inquiry: Inquiry, max_tokens: int) -> float:
        """Return the most that one question can cost: no token stands for less than a byte.

        Some servers put the schema of the reply into the prompt as well.
        """
        texts = [json.dumps(inquiry.json_schema), *(message["content"] for message in inquiry.messages)]
        return self._cost(sum(len(text.encode()) + FRAME_TOKENS for text in texts), max_tokens)

    def has_room(self, most: float) -> bool:
        return self.budget is None or self.spent + self.set_aside + most <= self.budget

    def settle(self, most: float, reply: Reply | None) -> None:
        """Count what was set aside as spent; without a reply or without usage, all of it."""
        self.set_aside -= most
        if reply is None or reply.input_tokens is None or reply.output_tokens is None:
            self.without_usage += 1
            self.spent += most
        else:
            self.spent += self._cost(reply.input_tokens, reply.output_tokens)

    def told(self, asked: int) -> str:
        """Say what the questions of this command cost."""
        unknown = (
            f", of which {self.without_usage} came back without a count of tokens and are taken at their most"
            if self.without_usage
            else ""
        )
        return f"{asked:,} questions for {self.spent:.4g} at the prices given{unknown}"

    def _cost(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self.price_in + output_tokens * self.price_out) / PRICED_TOKENS


def open_purse(settings: EvaluationSettings) -> Purse | None:
    """Return an untouched purse, or None where no prices are given."""
    if settings.judge_price_in is None or settings.judge_price_out is None:
        return None
    return Purse(settings.judge_price_in, settings.judge_price_out, settings.judge_budget)
