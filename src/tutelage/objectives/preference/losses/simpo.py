"""`simpo`, DPO's loss with a margin to reach; it asks no start."""

from typing import TYPE_CHECKING

from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.losses import PreferenceLoss
from tutelage.objectives.preference.losses.sigmoid import sigmoid_loss

if TYPE_CHECKING:
    import torch


def simpo_loss(scores: "torch.Tensor", settings: PreferenceSettings) -> "torch.Tensor":
    """Return the loss of SimPO for each pair: Meng et al. 2024, arXiv 2405.14734, equation 6."""
    return sigmoid_loss(scores, settings, settings.gamma)


LOSS = PreferenceLoss(
    simpo_loss, "SimPO loss, nats per pair", needs_reference=False, is_length_normalized=True
)
