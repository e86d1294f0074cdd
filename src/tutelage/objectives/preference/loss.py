"""Preference tuning: of two answers to a prompt, the chosen one made more probable than the rejected one.

Every loss is one function of the scores of both answers. For `sigmoid` and `ipo` a score is how much more probable an
answer is than it was at the start; `orpo` and `simpo` ask no start, and take the log-probability of a mean token.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.nn.functional import logsigmoid

from tutelage.config.recipe import PreferenceSettings
from tutelage.model.answer_log_probs import rounding_of, sum_by_example
from tutelage.model.forward import CausalModel
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Pair
from tutelage.tree.prefix_tree import PrefixTree

# By chance a model that knows nothing is certain of an answer to the last digit, and its odds would be infinite.
LEAST_SURPRISE = 1e-6  # nats
# The metrics of every step and validation beside the loss, as means over the pairs.
METRICS = ("chosen_reward", "rejected_reward", "margin", "accuracy", "ties")


def preference_objective(settings: PreferenceSettings) -> Objective:
    """Return the objective whose normalizer is the number of pairs."""
    return Objective(partial(preference_loss, settings=settings), len)


def preference_loss(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Pair],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
    settings: PreferenceSettings,
) -> LossOutput:
    """Return the part of the mean loss over pairs, and of the means of rewards, margin, accuracy and ties.

    A reward is beta times the score of an answer, the margin that of the chosen less that of the rejected one. A margin
    within the rounding of the model's dtype is a tie and counts as 0; the accuracy is the share of pairs in which the
    margin is positive. The loss knows no ties.
    """
    policy = sum_by_example(log_probs(model, tree), tree, 2 * len(units)).view(-1, 2)  # (pairs, 2)
    scores = answer_scores(policy, units, settings)
    loss = LOSSES[settings.loss](scores, settings).sum() / normalizer
    rewards = settings.beta * scores.detach()
    margins = rewards[:, 0] - rewards[:, 1]  # (pairs,)
    ties = margins.abs() <= margin_rounding(policy.detach(), units, settings, model.compute_dtype)  # (pairs,)
    margins = margins.masked_fill(ties, 0.0)
    sums = rewards[:, 0].sum(), rewards[:, 1].sum(), margins.sum(), (margins > 0).sum(), ties.sum()
    means = (total.item() / normalizer for total in sums)
    return LossOutput(loss, dict(zip(METRICS, means, strict=True)))


def answer_scores(policy: torch.Tensor, units: Sequence[Pair], settings: PreferenceSettings) -> torch.Tensor:
    """Return what a loss compares of both answers, from their log-probabilities (nats): (pairs, 2) to (pairs, 2)."""
    lengths = policy.new_tensor([[example.supervised for example in pair.examples] for pair in units])
    if settings.loss in ("orpo", "simpo"):
        return policy / lengths
    gained = policy - policy.new_tensor([pair.reference for pair in units])
    return gained / lengths if settings.length_normalised else gained


def margin_rounding(
    policy: torch.Tensor, units: Sequence[Pair], settings: PreferenceSettings, dtype: torch.dtype
) -> torch.Tensor:
    """Return how far rounding in `dtype` may move the margin of each pair: (pairs, 2) to (pairs,)."""
    lengths = policy.new_tensor([[example.supervised for example in pair.examples] for pair in units])
    limits = rounding_of(policy, lengths, dtype)  # (pairs, 2)
    if settings.loss not in ("orpo", "simpo"):
        reference = policy.new_tensor([pair.reference for pair in units])
        limits = limits + rounding_of(reference, lengths, dtype)
    if settings.length_normalised or settings.loss in ("orpo", "simpo"):
        limits = limits / lengths
    return settings.beta * limits.sum(dim=1)


def sigmoid_loss(scores: torch.Tensor, settings: PreferenceSettings, gamma: float = 0.0) -> torch.Tensor:
    """Return the loss of DPO for each pair, with `gamma` the margin of SimPO: (pairs, 2) to (pairs,).

    Rafailov et al. 2023, arXiv 2305.18290, equation 7; label smoothing as in the authors' note on conservative DPO.
    """
    logits = settings.beta * (scores[:, 0] - scores[:, 1]) - gamma
    smoothing = settings.label_smoothing
    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


def ipo_loss(scores: torch.Tensor, settings: PreferenceSettings) -> torch.Tensor:
    """Return the loss of IPO for each pair: Azar et al. 2023, arXiv 2310.12036, equation 17."""
    return (scores[:, 0] - scores[:, 1] - 1 / (2 * settings.beta)) ** 2


def orpo_loss(scores: torch.Tensor, settings: PreferenceSettings) -> torch.Tensor:
    """Return the loss of ORPO for each pair, the chosen answer's own loss and the odds ratio's.

    Hong et al. 2024, arXiv 2403.07691, equations 3 to 7; lambda is beta here.
    """
    certain = scores.clamp(max=-LEAST_SURPRISE)
    log_odds = certain - torch.log(-torch.expm1(certain))  # (pairs, 2)
    return -scores[:, 0] - settings.beta * logsigmoid(log_odds[:, 0] - log_odds[:, 1])


def simpo_loss(scores: torch.Tensor, settings: PreferenceSettings) -> torch.Tensor:
    """Return the loss of SimPO for each pair: Meng et al. 2024, arXiv 2405.14734, equation 6."""
    return sigmoid_loss(scores, settings, settings.gamma)


LOSSES: dict[str, Callable[[torch.Tensor, PreferenceSettings], torch.Tensor]] = {
    "sigmoid": sigmoid_loss,
    "ipo": ipo_loss,
    "orpo": orpo_loss,
    "simpo": simpo_loss,
}
