"""The losses of preference tuning, a module for each with its one record, `LOSS`.

To add one, write its module and name it in `config/extensions.py`. No module imports torch before a loss is computed:
a report only asks what the loss is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from tutelage.config.extensions import PREFERENCE_LOSSES
from tutelage.config.recipe import PreferenceSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PreferenceLoss:
    """A function of the scores of both answers, (pairs, 2) to (pairs,), and what a score is.

    With `needs_reference` it is how much more probable an answer is than it was at the start (nats), else how probable
    it is; `is_length_normalized` says that it always is the mean over the tokens. `axis` names the loss in a chart.
    """

    of_scores: "Callable[[torch.Tensor, PreferenceSettings], torch.Tensor]"
    axis: str
    needs_reference: bool = True
    is_length_normalized: bool = False


@cache
def load_loss(name: str) -> PreferenceLoss:
    """Return a loss by its name in `preference.loss`."""
    return import_module(PREFERENCE_LOSSES[name].module).LOSS


def is_by_token(settings: PreferenceSettings) -> bool:
    """Tell whether scores are means over the tokens of an answer rather than sums."""
    return settings.length_normalized or load_loss(settings.loss).is_length_normalized
