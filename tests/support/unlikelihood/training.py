"""The loss of Welleck et al. 2020, arXiv 1908.04319, equation 4, of the tokens of unwanted answers."""

import torch

from tutelage.objectives.spec import TrainingPart
from tutelage.training.cross_entropy import count_supervised
from tutelage.training.load import as_examples
from tutelage.training.objective import LossOutput, Objective

LEAST_SURPRISE = 1e-6  # nats


def unlikelihood(model, tree, units, *, normalizer, statistic, log_probs):
    """Return the part of the mean of -log(1 - p) over the tokens (nats), and of the mean log-probability."""
    found = log_probs(model, tree).clamp(max=-LEAST_SURPRISE)
    loss = -torch.log(-torch.expm1(found)).sum() / normalizer
    return LossOutput(loss, {"log_prob": found.sum().item() / normalizer})


UNLIKELIHOOD = Objective(unlikelihood, count_supervised)
TRAINING = TrainingPart(objective=lambda recipe, units: UNLIKELIHOOD, units=as_examples)
