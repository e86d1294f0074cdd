"""Prove on real examples, before the first step, that this model may be run over prefix trees, or else padded rows."""

from collections.abc import Sequence

import torch

from tutelage.data.examples import Example
from tutelage.data.prefix_tree import merge
from tutelage.errors import ModelError
from tutelage.model.forward import CausalModel, target_log_probs

# A wrong mask or position moves log-probabilities by whole nats; rounding moves their mean by far less than these.
# In a float64 model transformers' norms and its own softmax still go through float32.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}


@torch.no_grad()
def refuse_unless_exact(model: CausalModel, probes: Sequence[Example]) -> None:
    """Compare the model as it is run with its own attention on one example at a time; ModelError where they differ."""
    model.module.eval()
    name = type(model.module).__name__
    way = "padded rows" if model.is_padded else "prefix trees"
    merged = merge(probes)  # not below: what fails here is no fault of the model
    try:
        found = target_log_probs(model, merged)
        alone = torch.cat(one_at_a_time_log_probs(model, probes))
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as fault:
        raise ModelError(
            "model.parity_check_crashed", f"{name} cannot be run over {way} ({fault}). Choose another model."
        ) from fault
    difference = (found - alone).abs().mean().item()
    if not difference <= TOLERANCE[model.module.dtype]:
        raise ModelError(
            "model.parity_check_failed",
            f"{name} gives other results over {way} than over one example at a time (mean difference"
            f" {difference:.2g} nats per token), so it would be trained wrongly. Choose another model.",
        )


@torch.no_grad()
def one_at_a_time_log_probs(model: CausalModel, examples: Sequence[Example]) -> list[torch.Tensor]:
    """Return the supervised log-probabilities of each example, by transformers' own attention and causal mask."""
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
