"""Check on real examples, before the first step, that a model may run on prefix trees, or else on padded rows.

The check runs in float32 or better, whatever the dtype of the model: rounding in bfloat16 would hide errors.
For the tolerances, see docs/decisions/0041-parity-in-float32.md.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from tutelage.errors import MemoryExhaustedError, ModelError
from tutelage.model.float32 import in_float32
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.model.layer_kinds import can_exchange_attention, layers_beyond_attention
from tutelage.system.runtime import is_out_of_memory
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

# Mean difference in nats per token. Even in a float64 model, transformers' norms and softmax use float32.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 6e-5}
# Largest difference at any token of a branch when another branch is replaced by one of the same shape.
ISOLATION = {torch.float64: 1e-5, torch.float32: 1e-4}


@torch.no_grad()
def check_parity(model: CausalModel, probes: Sequence[Example]) -> None:
    """Compare the model with its own attention on one example at a time.

    Raise ModelError if they differ, and MemoryExhaustedError if the check does not fit in memory.
    """
    model.module.eval()
    name = type(model.module).__name__
    way = "padded rows" if model.is_padded else "prefix trees"
    kind = None if model.is_padded else layers_beyond_attention(model.module)
    if not model.is_padded and not can_exchange_attention(model.module):
        raise ModelError(
            "model.attention_not_exchangeable",
            f"{name} has a custom attention that cannot be replaced with attention over prefix trees. Choose"
            " another model.",
        )
    if kind:
        raise ModelError(
            "model.recurrent_layers",
            f"{name} has layers other than attention ({kind}), through which branches of a prefix tree would"
            " leak into each other. Choose another model.",
        )
    wide = torch.promote_types(model.module.dtype, torch.float32)
    checked = replace(model, compute_dtype=wide)
    merged = merge(probes)  # outside the try: an error here is not the model's
    try:
        with in_float32(model.module):
            found = target_log_probs(checked, merged)
            alone = torch.cat(one_at_a_time_log_probs(checked, probes))
            leak = largest_leak(checked, probes)
    except (MemoryError, RuntimeError, TypeError, ValueError, AttributeError, LookupError) as fault:
        if is_out_of_memory(fault):
            raise MemoryExhaustedError(
                "train.out_of_memory",
                f"Out of memory for {name} with two examples of the data. Close other programs, lower"
                " data.max_length, or choose a smaller model.",
            ) from None
        raise ModelError(
            "model.parity_check_crashed", f"{name} cannot run over {way} ({fault}). Choose another model."
        ) from fault
    difference = (found - alone).abs().mean().item()
    if not difference <= TOLERANCE[wide]:
        raise ModelError(
            "model.parity_check_failed",
            f"{name} gives different results over {way} than over one example at a time (mean difference"
            f" {difference:.2g} nats per token), so it would be trained incorrectly. Choose another model.",
        )
    if not leak <= ISOLATION[wide]:
        raise ModelError(
            "model.branches_leak",
            f"With {name}, the results of one branch over {way} change (by up to {leak:.2g} nats) when the"
            " tokens of another branch change, so it would be trained incorrectly. Choose another model.",
        )


def largest_leak(model: CausalModel, probes: Sequence[Example]) -> float:
    """Return the largest change (nats) in one branch's log-probabilities when the tokens of other branches
    change.

    The other branches fork off in the middle of the first; one comes before it in the tree, and one after it.
    """
    vocabulary = model.module.get_input_embeddings().num_embeddings
    probe = max(probes, key=lambda probe: len(probe.ids))
    half = max(1, len(probe.ids) // 2)
    found = []
    for step in (1, 2):
        branches = []
        for side in (-1, 1):
            tail = [
                (token + side * step * place) % vocabulary for place, token in enumerate(probe.ids[half:], 1)
            ]
            branches.append(replace(probe, ids=(*probe.ids[:half], *tail)))
        found.append(target_log_probs(model, merge([probe, *branches]))[: probe.supervised])
    return (found[0] - found[1]).abs().max().item()


@torch.no_grad()
def one_at_a_time_log_probs(model: CausalModel, examples: Sequence[Example]) -> list[torch.Tensor]:
    """Return the supervised log-probabilities of each example with transformers' own attention and causal mask."""
    module = model.module
    attention = module.config._attn_implementation
    module.set_attn_implementation("eager")
    try:
        return [_plain_log_probs(model, example) for example in examples]
    finally:
        module.set_attn_implementation(attention)


def _plain_log_probs(model: CausalModel, example: Example) -> torch.Tensor:
    ids = torch.tensor([example.ids], device=model.device)
    with model.autocast():
        logits = model.module(ids[:, :-1], use_cache=False).logits[0]  # (tokens - 1, vocabulary)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_probs = logits.log_softmax(dim=-1).gather(1, ids[0, 1:, None])[:, 0]
    return torch.cat([log_probs[begin - 1 : end - 1] for begin, end in example.spans])
