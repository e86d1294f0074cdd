"""A preference loss that no module of the program has: a margin that the chosen answer has to be ahead by, and no more.

Zhao et al. 2023, arXiv 2305.10425, equation 4 (SLiC-HF) without its regularization.
"""

from dataclasses import replace

from tutelage.objectives.preference.losses import PreferenceLoss


def hinge_loss(scores, settings):
    """Return what is missing of `gamma` in each pair, nothing where the chosen answer is that far ahead."""
    return (settings.gamma - settings.beta * (scores[:, 0] - scores[:, 1])).clamp(min=0)


LOSS = PreferenceLoss(hinge_loss, "Hinge loss, nats per pair", needs_reference=False)
FROM_A_START = replace(LOSS, needs_reference=True)
