"""About how much memory a training takes at its peak: the program, the weights, the optimizer and its largest tree."""

from collections.abc import Sequence
from typing import Any

import torch

from tutelage.config.recipe import Tuning
from tutelage.model.decoder_layers import LLAMA_KIND
from tutelage.model.forward import MAX_NODES
from tutelage.model.kept_memory import LayerWidths, largest_tree
from tutelage.model.log_probs import HEAD_ROWS
from tutelage.model.tree_plan import plan_tree
from tutelage.tree.batches import micro_batches
from tutelage.tree.examples import Unit, examples_of
from tutelage.tree.prefix_tree import PrefixTree, count_distinct, merge

# torch, transformers, their libraries and what they hold of the products' kernels.
PROGRAM_BYTES = 560 * 2**20
TRAINED_BYTES = 16  # of a trained number: itself, its gradient and two moments, in float32
# Free room between temporary tensors that nothing fits into, as a share of what layers keep; measured.
HEAP_HOLES = 0.45
SCORES_AT_ONCE = 5  # tensors of the size of a batch of scores that its backward pass holds


def peak_memory_bytes(
    config: Any,
    tuning: Tuning,
    steps: Sequence[Sequence[Unit]],
    *,
    parameters: int,
    dtype: torch.dtype,
    micro_batch_size: int,
) -> int:
    """Return the bytes that the largest tree of these steps needs, with a model of so many parameters around it."""
    widths = LayerWidths.read(config)
    blocks = tuning.last_blocks
    if tuning.is_lora:
        weights = parameters * dtype.itemsize
        trained = widths.adapter_parameters(tuning.adapter.r) * TRAINED_BYTES
    else:
        weights = 4 * parameters
        share = 1.0 if blocks is None else blocks / widths.layers
        trained = int(share * parameters * (TRAINED_BYTES - 4))
    is_fused = config.model_type in LLAMA_KIND and tuning.is_lora and not tuning.adapter.lora_dropout
    most = largest_tree(
        widths, most=MAX_NODES, itemsize=dtype.itemsize, is_fused=is_fused, weight_bytes=weights + trained
    )
    tree = _largest(steps, size=micro_batch_size, distinct_tokens=most)
    kept = widths.kept_bytes(len(tree.token_ids), itemsize=dtype.itemsize, is_fused=is_fused)
    if blocks is not None:
        kept = kept * blocks // widths.layers
    scores = _score_bytes(tree, widths, itemsize=dtype.itemsize)
    head = HEAD_ROWS * config.get_text_config().vocab_size * (dtype.itemsize + 8)
    return PROGRAM_BYTES + weights + trained + int((1 + HEAP_HOLES) * kept) + scores + head


def _largest(steps: Sequence[Sequence[Unit]], *, size: int, distinct_tokens: int) -> PrefixTree:
    cuts = [cut for step in steps for cut in micro_batches(step, size=size, distinct_tokens=distinct_tokens)]
    return merge(examples_of(max(cuts, key=lambda cut: count_distinct(examples_of(cut)))))


def _score_bytes(tree: PrefixTree, widths: LayerWidths, *, itemsize: int) -> int:
    """Return the weights that all layers keep, or the scores of one batch of blocks and their gradients."""
    key_heads = widths.key * widths.heads // widths.query
    plan = plan_tree(tree, heads=widths.heads, key_heads=key_heads, device=torch.device("cpu"))
    largest = max((batch.scores for batch in plan.batches), default=0)
    return largest * (itemsize * widths.layers if plan.keeps_weights else 4 * SCORES_AT_ONCE)
