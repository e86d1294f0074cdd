"""What a forward pass keeps for its backward pass, and how large a tree may be for it.

Large trees share more and keep the products busy, but they are held in memory as a whole, and over long rows most of a
step's memory is what its layers keep. So trees shrink where that would outgrow the weights.
"""

from dataclasses import dataclass
from typing import Any, Self

from tutelage.model.tree_plan import MOST_NODES_KEPT

# The trees of a step may keep as much as the weights take, and at least so many bytes.
LARGEST_KEPT_BYTES = 3 * 2**28
NODES_STEP = 256  # trees are bounded by a multiple of so many nodes
# transformers' own layers and peft's keep about so many times what the fused ones do.
UNFUSED = 2
INNER = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")


@dataclass(frozen=True)
class LayerWidths:
    """The widths of a decoder layer that decide what it keeps."""

    layers: int
    hidden: int
    inner: int
    query: int  # of all heads
    key: int  # of all key heads
    heads: int

    @classmethod
    def read(cls, config: Any) -> Self:
        """Read them from a model's config, which gives them by the same names in every family but the inner width.

        A model without attention counts as one with a single head.
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
        """Return how many numbers a fused layer keeps of each node; what its attention keeps has a bound of its own."""
        return 4 * self.hidden + 2 * self.query + 2 * self.key + 3 * self.inner

    def adapter_parameters(self, rank: int) -> int:
        """Return how many numbers a LoRA adapter on every linear layer has."""
        ends = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key) + 3 * (self.hidden + self.inner)
        return self.layers * rank * ends

    def kept_bytes(self, nodes: int, *, itemsize: int, is_fused: bool) -> int:
        """Return about what a pass over a tree keeps."""
        own = self.kept_numbers() * itemsize * (1 if is_fused else UNFUSED)
        if nodes <= MOST_NODES_KEPT:
            return nodes * self.layers * own
        # What goes into each layer and comes out of its attention, and one layer that is computed again.
        return nodes * (self.layers * (self.hidden + self.query) * itemsize + own)


def largest_tree(widths: LayerWidths, *, most: int, itemsize: int, is_fused: bool, weight_bytes: int) -> int:
    """Return how many nodes a tree of a step may have: `most`, or as many as keep what is kept within its bound."""
    bound = max(LARGEST_KEPT_BYTES, weight_bytes)
    steps = bound // widths.kept_bytes(NODES_STEP, itemsize=itemsize, is_fused=is_fused)
    return min(most, max(1, steps) * NODES_STEP)
