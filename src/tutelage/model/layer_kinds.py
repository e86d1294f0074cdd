"""Find the layers that a prefix tree cannot share, because they see earlier tokens other than through
attention.

Recurrent layers, linear attention and convolutions read the nodes in packed order, so one branch leaks into the
next. Its visible effect depends on the weights, so layers are recognized by kind instead.
"""

import re
from typing import Any

import torch

# Names in config.json, old and new, for layers that attend to all earlier tokens, or have no attention.
ATTENDING = {
    "full_attention",
    "attention",
    "sliding_attention",
    "moe",
    "dense",
    "sparse",
    "mlp",
    "-",
    "*",
    "a",
}
KIND_KEYS = ("layer_types", "layers_block_type", "block_types", "hybrid_override_pattern")
NAMED_AFTER = re.compile(
    r"mamba|rwkv|deltanet|delta(rule)?attention|linearattention|lightningattention|recurrent|retention|retnet"
    r"|rglru|statespace|shortconv|hyena|[xsm]lstm|(?-i:SSM)",
    re.IGNORECASE,
)


def can_exchange_attention(module: Any) -> bool:
    """Return whether transformers can replace the model's attention; Bloom, with ALiBi in its own code, does
    not allow it.

    Such a model would run over a tree as if it were one long row, which is hard to notice with small weights.
    """
    return bool(type(module)._can_set_attn_implementation())


def layers_beyond_attention(module: Any) -> str | None:
    """Return the kind of layer that is not attention over its own path, or None if there is none.

    It is recognized by config.json, by a stateful cache, or by the class of a module.
    """
    for key in KIND_KEYS:
        kinds = getattr(module.config, key, None) or ()
        others = sorted({str(kind) for kind in kinds if str(kind).lower() not in ATTENDING})
        if others:
            return f"{key} {', '.join(others)}"
    if getattr(module, "_is_stateful", False):
        return "a cache that keeps a state"
    for layer in module.modules():
        if isinstance(layer, (torch.nn.Conv1d, torch.nn.RNNBase)) or NAMED_AFTER.search(type(layer).__name__):
            return type(layer).__name__
    return None
