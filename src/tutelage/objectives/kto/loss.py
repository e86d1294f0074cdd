"""KTO: desirable answers made more probable and undesirable ones less, each judged by itself.

Ethayarajh et al. 2024, arXiv 2402.01306, equations 7 and 8. An answer counts by how much more probable it is than it
was at the start, beside how far the model has moved in general. The second is the KL term: the mean over the step of
what answers to other prompts gained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from tutelage.config.recipe import PreferenceSettings
from tutelage.model.answer_log_probs import sum_by_example
from tutelage.model.forward import MAX_NODES, CausalModel
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.batches import examples_within
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree, merge


@dataclass(frozen=True)
class Judged:
    """An answer with a label, and the same prompt with a mismatched answer; the references are log-probabilities
    (nats) before the training.

    The mismatched answer is part of the statistic of a step and not of its loss, so it is none of the `examples`.
    """

    example: Example
    mismatched: Example
    reference: float = 0.0
    mismatched_reference: float = 0.0

    def __post_init__(self) -> None:
        assert self.example.is_desirable is not None, "an answer without a label cannot be judged"

    @property
    def row(self) -> int:
        return self.example.row

    @property
    def is_desirable(self) -> bool:
        return self.example.is_desirable is True

    @property
    def supervised(self) -> int:
        return self.example.supervised

    @property
    def examples(self) -> tuple[Example, ...]:
        return (self.example,)


def kto_objective(settings: PreferenceSettings) -> Objective:
    """Return the objective whose normalizer is the number of answers."""
    return Objective(partial(kto_loss, settings=settings), len, gain_of_mismatched)


def gain_of_mismatched(model: CausalModel, units: Sequence[Judged], *, log_probs: LogProbs) -> torch.Tensor:
    """Return what the mismatched answers gained (nats), their number, and the number of desirable answers: (3,)."""
    mismatched = [unit.mismatched for unit in units]
    # They may be longer than the answers that fill the micro-batch.
    runs = examples_within(mismatched, distinct_tokens=MAX_NODES, padded=model.is_padded)
    policy = torch.stack([log_probs(model, merge(run)).sum() for run in runs]).sum()
    gained = policy - sum(unit.mismatched_reference for unit in units)
    return torch.stack([gained, *gained.new_tensor([len(units), sum(unit.is_desirable for unit in units)])])


def kto_loss(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Judged],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
    settings: PreferenceSettings,
) -> LossOutput:
    """Return the part of the mean loss over answers, of the KL term (nats), and of mean rewards and their margin."""
    assert statistic is not None, "the KL term is that of the whole step"
    total, count, desirable = statistic
    kl = (total / count).clamp(min=0)
    policy = sum_by_example(log_probs(model, tree), tree, len(units))  # (answers,)
    gained = policy - policy.new_tensor([unit.reference for unit in units])
    is_desirable = torch.tensor([unit.is_desirable for unit in units], device=policy.device)
    ahead = torch.where(is_desirable, gained - kl, kl - gained)
    weights = policy.new_tensor([_weight(unit, settings) for unit in units])
    loss = (weights * torch.sigmoid(-settings.beta * ahead)).sum() / normalizer
    rewards = settings.beta * gained.detach()
    share = count.item() / normalizer  # 1 in a step; a validation divides by the count in the end
    means = _mean_rewards(rewards, is_desirable, desirable=desirable, undesirable=count - desirable)
    metrics = {"kl": kl.item() * len(units) / count.item(), **means}
    return LossOutput(loss, {name: share * mean for name, mean in metrics.items()})


def _weight(unit: Judged, settings: PreferenceSettings) -> float:
    return settings.desirable_weight if unit.is_desirable else settings.undesirable_weight


def _mean_rewards(
    rewards: torch.Tensor, is_desirable: torch.Tensor, *, desirable: torch.Tensor, undesirable: torch.Tensor
) -> dict[str, float]:
    """Return the part of the mean reward of either kind, and of their margin, from how many of it the step has.

    A reward is beta times what an answer gained. A step that has none of a kind has no mean of it.
    """
    means = {}
    if desirable > 0:
        means["desirable_reward"] = (rewards[is_desirable].sum() / desirable).item()
    if undesirable > 0:
        means["undesirable_reward"] = (rewards[~is_desirable].sum() / undesirable).item()
    if len(means) == 2:
        means["margin"] = means["desirable_reward"] - means["undesirable_reward"]
    return means
