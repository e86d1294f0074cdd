"""Preference tuning: of two answers to a prompt, the chosen one made more probable than the rejected one.

Every loss is one function of the scores of both answers, and stands in `losses/`.
"""

from collections.abc import Sequence
from functools import partial

import torch

from tutelage.config.recipe import PreferenceSettings
from tutelage.model.answer_log_probs import rounding_of, sum_by_example
from tutelage.model.forward import CausalModel
from tutelage.objectives.preference.losses import is_by_token, load_loss
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Pair
from tutelage.tree.prefix_tree import PrefixTree

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
    loss = load_loss(settings.loss).of_scores(scores, settings).sum() / normalizer
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
    scores = policy
    if load_loss(settings.loss).needs_reference:
        scores = policy - policy.new_tensor([pair.reference for pair in units])
    return scores / lengths if is_by_token(settings) else scores


def margin_rounding(
    policy: torch.Tensor, units: Sequence[Pair], settings: PreferenceSettings, dtype: torch.dtype
) -> torch.Tensor:
    """Return how far rounding in `dtype` may move the margin of each pair: (pairs, 2) to (pairs,)."""
    lengths = policy.new_tensor([[example.supervised for example in pair.examples] for pair in units])
    limits = rounding_of(policy, lengths, dtype)  # (pairs, 2)
    if load_loss(settings.loss).needs_reference:
        reference = policy.new_tensor([pair.reference for pair in units])
        limits = limits + rounding_of(reference, lengths, dtype)
    if is_by_token(settings):
        limits = limits / lengths
    return settings.beta * limits.sum(dim=1)
