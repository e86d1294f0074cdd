"""`orpo`, the chosen answer's own loss and the odds of both answers; it asks no start."""

from typing import TYPE_CHECKING

from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.losses import PreferenceLoss

if TYPE_CHECKING:
    import torch

# By chance a model that knows nothing is certain of an answer to the last digit, and its odds would be infinite.
LEAST_SURPRISE = 1e-6  # nats


def orpo_loss(scores: "torch.Tensor", settings: PreferenceSettings) -> "torch.Tensor":
    """Return the loss of ORPO for each pair, the chosen answer's own loss and the odds ratio's.

    Hong et al. 2024, arXiv 2403.07691, equations 3 to 7; lambda is beta here.
    """
    from torch.nn.functional import logsigmoid  # noqa: PLC0415 - seconds that a report need not wait for

    certain = scores.clamp(max=-LEAST_SURPRISE)
    log_odds = certain - (-certain.expm1()).log()  # (pairs, 2)
    return -scores[:, 0] - settings.beta * logsigmoid(log_odds[:, 0] - log_odds[:, 1])


LOSS = PreferenceLoss(orpo_loss, "ORPO loss, nats per pair", needs_reference=False, is_length_normalized=True)
