"""AdamW over what is trained, in float32."""

from typing import Any

import torch

from tutelage.config.recipe import TrainingSettings


def make_optimizer(module: Any, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters; biases and norms (vectors) do not decay."""
    trainable = trainable_parameters(module)
    for parameter in trainable:
        assert parameter.dtype in (torch.float32, torch.float64), "updates of 1e-4 vanish in bfloat16"
    matrices = [parameter for parameter in trainable if parameter.ndim >= 2]
    vectors = [parameter for parameter in trainable if parameter.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def trainable_parameters(module: Any) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
