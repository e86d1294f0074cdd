"""`ipo`, which stops at a margin."""

from typing import TYPE_CHECKING

from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.losses import PreferenceLoss

if TYPE_CHECKING:
    import torch


def ipo_loss(scores: "torch.Tensor", settings: PreferenceSettings) -> "torch.Tensor":
    """Return the loss of IPO for each pair: Azar et al. 2023, arXiv 2310.12036, equation 17."""
    return (scores[:, 0] - scores[:, 1] - 1 / (2 * settings.beta)) ** 2


LOSS = PreferenceLoss(ipo_loss, "IPO loss, squared nats per pair")
