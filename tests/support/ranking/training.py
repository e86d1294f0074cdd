"""The loss of Plackett 1975: how unlikely the ranking is, if answers are drawn by their probabilities one by one."""

from dataclasses import dataclass
from functools import partial

from tutelage.model.answer_log_probs import sum_by_example
from tutelage.objectives.spec import TrainingPart
from tutelage.training.objective import LossOutput, Objective


@dataclass(frozen=True)
class Ranked:
    """The examples of one row, the best first."""

    examples: tuple

    @property
    def row(self):
        return self.examples[0].row

    @property
    def supervised(self):
        return sum(one.supervised for one in self.examples)


def ranked(rows):
    """Return each row with all its answers."""
    return [Ranked(each) for each in zip(*(one.examples for one in rows.answers.values()), strict=True)]


def ranking_loss(model, tree, units, *, normalizer, statistic, log_probs, answers):
    """Return the part of the mean over rows of the negative log-probability of the ranking (nats)."""
    scores = sum_by_example(log_probs(model, tree), tree, answers * len(units)).view(-1, answers)
    rest = scores.flip(1).logcumsumexp(1).flip(1)  # of each answer and all behind it
    return LossOutput((rest - scores).sum() / normalizer)


def objective(recipe, units):
    """Return the loss of rows with so many answers as the units have."""
    return Objective(partial(ranking_loss, answers=len(units[0].examples)), len)


TRAINING = TrainingPart(objective=objective, units=ranked)
