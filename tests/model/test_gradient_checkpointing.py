"""Layers of transformers' own keep their input alone in long rows, and give the same gradients."""

from unittest.mock import patch

import pytest
import torch
from support.tiny_models import CPU, FAMILIES, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings
from tutelage.model import tree_plan
from tutelage.model.adapters import add_adapter
from tutelage.model.decoder_layers import fuse_layers
from tutelage.model.forward import CausalModel, target_log_probs, undressed
from tutelage.model.gradient_checkpointing import checkpoint_long_rows
from tutelage.tree.prefix_tree import merge

TREE = merge(ragged_examples(12))


def gradients_and_kept(module, *, most_kept: int) -> tuple[dict[str, torch.Tensor], int]:
    """Return the gradients, and how many bytes the pass kept for them."""
    kept = 0

    def note(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    module.train()
    module.zero_grad(set_to_none=True)
    with patch.object(tree_plan, "MOST_NODES_KEPT", most_kept):
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = target_log_probs(CausalModel(module, CPU, torch.float64), TREE).sum()
        loss.backward()
    found = {name: weight.grad for name, weight in module.named_parameters() if weight.requires_grad}
    return found, kept


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_long_row_has_the_same_gradients_from_less_memory(family, method, dropout):
    module = tiny_model(family, dtype=torch.float64).module
    if method == "lora":
        module = add_adapter(module, AdapterSettings(r=4, lora_dropout=dropout), seed=1)
    assert checkpoint_long_rows(undressed(module)) == 2
    torch.manual_seed(0)
    whole, kept = gradients_and_kept(module, most_kept=10_000)
    torch.manual_seed(0)
    again, kept_again = gradients_and_kept(module, most_kept=10)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert kept_again < 0.5 * kept


def test_layers_that_are_fused_or_checkpointed_already_stay_as_they_are():
    module = add_adapter(tiny_model("llama", dtype=torch.float64).module, AdapterSettings(r=4), seed=1)
    assert fuse_layers(undressed(module)) == 2
    assert checkpoint_long_rows(undressed(module)) == 0
    plain = tiny_model("gpt2").module
    assert (checkpoint_long_rows(plain), checkpoint_long_rows(plain)) == (2, 0)


def test_short_rows_and_passes_without_slopes_are_computed_once():
    module = tiny_model("qwen2", dtype=torch.float64).module
    checkpoint_long_rows(module)
    with patch("tutelage.model.gradient_checkpointing.checkpoint") as used:
        gradients_and_kept(module, most_kept=10_000)
        with torch.no_grad(), patch.object(tree_plan, "MOST_NODES_KEPT", 10):
            target_log_probs(CausalModel(module, CPU, torch.float64), TREE)
        assert not used.called
