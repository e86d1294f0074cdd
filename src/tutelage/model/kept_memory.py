"""Estimate how much memory a forward pass keeps for its backward pass, and limit the size of trees accordingly.

Large trees share more and keep matrix products efficient, but a tree is held in memory as a whole. With long
rows, most of a step's memory is what the layers keep, so trees are made smaller if that would exceed the
weights.
"""

from dataclasses import dataclass
from typing import Any, Self

from tutelage.model.tree_plan import MOST_NODES_KEPT

# A step may keep as much as the weights take, and always at least this many bytes.
LARGEST_KEPT_BYTES = 3 * 2**28
NODES_STEP = 256  # tree sizes are limited to a multiple of this
# transformers' and peft's own layers keep about this many times as much as fused ones.
UNFUSED = 2
INNER = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")


@dataclass(frozen=True)
class LayerWidths:
    """The widths of a decoder layer that determine how much it keeps."""

    layers: int
    hidden: int
    inner: int
    query: int  # over all heads
    key: int  # over all key heads
    heads: int

    @classmethod
    def read(cls, config: Any) -> Self:
        """Read the widths from a model's config; only the key of the inner width differs between families.

        A model without attention counts as having one head.
        """
        config = config.get_text_config()
        hidden, heads = config.hidden_size, getattr(config, "num_attention_heads", None) or 1
        size = getattr(config, "head_dim", None) or hidden // heads
        inner = next((found for name in INNER if (found := getattr(config, name, None))), 4 * hidden)
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        return cls(
            config.num_hidden_layers, hidden, inner, query=heads * size, key=key_heads * size, heads=heads
        )

    def kept_numbers(self) -> int:
        """Return how many numbers a fused layer keeps per node, without attention weights, which have a limit
        of their own.
        """
        return 4 * self.hidden + 2 * self.query + 2 * self.key + 3 * self.inner

    def adapter_parameters(self, rank: int) -> int:
        """Return the number of parameters of a LoRA adapter on every linear layer."""
        ends = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key) + 3 * (self.hidden + self.inner)
        return self.layers * rank * ends

    def kept_bytes(self, nodes: int, *, itemsize: int, is_fused: bool) -> int:
        """Return an estimate of the bytes that a pass over a tree keeps."""
        own = self.kept_numbers() * itemsize * (1 if is_fused else UNFUSED)
        if nodes <= MOST_NODES_KEPT:
            return nodes * self.layers * own
        # The input of each layer and its attention output, plus one layer being recomputed.
        return nodes * (self.layers * (self.hidden + self.query) * itemsize + own)


def largest_tree(widths: LayerWidths, *, most: int, itemsize: int, is_fused: bool, weight_bytes: int) -> int:
    """Return the largest number of nodes for a tree: `most`, or as many as the memory limit allows."""
    bound = max(LARGEST_KEPT_BYTES, weight_bytes)
    steps = bound // widths.kept_bytes(NODES_STEP, itemsize=itemsize, is_fused=is_fused)
    return min(most, max(1, steps) * NODES_STEP)
