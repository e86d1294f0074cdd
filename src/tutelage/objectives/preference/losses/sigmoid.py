"""`sigmoid`, the loss of DPO itself."""

from typing import TYPE_CHECKING

from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.losses import PreferenceLoss

if TYPE_CHECKING:
    import torch


def sigmoid_loss(scores: "torch.Tensor", settings: PreferenceSettings, gamma: float = 0.0) -> "torch.Tensor":
    """Return the loss of DPO for each pair, with `gamma` the margin of SimPO: (pairs, 2) to (pairs,).

    Rafailov et al. 2023, arXiv 2305.18290, equation 7; label smoothing as in the authors' note on conservative DPO.
    """
    from torch.nn.functional import logsigmoid  # noqa: PLC0415 - seconds that a report need not wait for

    logits = settings.beta * (scores[:, 0] - scores[:, 1]) - gamma
    smoothing = settings.label_smoothing
    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


LOSS = PreferenceLoss(sigmoid_loss, "DPO loss, nats per pair")
