"""Files hold each expert of a mixture by itself, and transformers may load all of them as one parameter.

Peft puts an adapter on modules alone, so that a name which the files have may mean nothing in the loaded model.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from tutelage.errors import ModelError
from tutelage.model.loading import model_without_weights

EXPERT = re.compile(r"(.+\.)?experts\.\d+(\..+)?")


def dimensions_of_loaded(
    folder: Path, names: Iterable[str], *, prefixes: Iterable[str]
) -> dict[str, int] | None:
    """Return the dimensions of each module's weight as transformers builds the model; None where no expert is named.

    `names` are the modules in the files; an expert of theirs that is no module of the model has 0, as has a module that
    peft takes no adapter for. None, too, where transformers cannot build the model, which loading it will say.
    """
    experts = [name for name in names if EXPERT.fullmatch(name)]
    if not experts:
        return None
    import torch  # noqa: PLC0415 - seconds that other models need not take
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415 - as above

    try:
        model = model_without_weights(folder)
    except ModelError:
        return None
    kinds = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, Conv1D)
    dimensions = {
        name: layer.weight.ndim if isinstance(layer, kinds) else 0
        for name, layer in model.named_modules()
        if name
    }
    lost = [name for name in experts if not any(prefix + name in dimensions for prefix in prefixes)]
    return dimensions | dict.fromkeys(lost, 0)
