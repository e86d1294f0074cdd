"""Find the modules of a mixture of experts that can take an adapter.

Files store each expert separately, but transformers may load them all as one parameter. peft only adapts
modules, so a name in the files may not exist in the loaded model.
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
    """Return {module: dimensions of its weight} of the model that transformers builds; None if no expert is
    named.

    `names` are the modules in the files. Experts that are not modules of the loaded model, and modules of a
    kind that peft cannot adapt, get 0. Also return None if transformers cannot build the model; loading it will
    report why.
    """
    experts = [name for name in names if EXPERT.fullmatch(name)]
    if not experts:
        return None
    import torch  # noqa: PLC0415 - takes seconds that other models do not need
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
