"""Which layers of a model a prefix tree cannot share: those that see more of the tokens before than attention does.

A recurrent layer, linear attention or a convolution reads the nodes in the order in which they are packed, so that one
branch leaks into the next. How far that shows depends on the weights; what kind of layer it is does not.
"""

import re
from typing import Any

import torch

# transformers' names in config.json, old and new, of layers that attend to all tokens before, or hold no attention.
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
    """Tell whether transformers lets another attention stand in; Bloom, with ALiBi in its own code, takes no other.

    Such a model runs over a tree as over one long row, and with small weights that hardly shows.
    """
    return bool(type(module)._can_set_attn_implementation())


def layers_beyond_attention(module: Any) -> str | None:
    """Name the kind of a model's layers that is not attention over its own path; None where there is none.

    Told by config.json, by a cache that keeps a state, and by the modules' classes.
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
