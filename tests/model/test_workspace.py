"""The memory of a pass is its own while the pass lives, and is taken again after it."""

import pytest
import torch
from support.tiny_models import CPU, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings
from tutelage.model import workspace
from tutelage.model.adapters import add_adapter
from tutelage.model.decoder_layers import fuse_layers
from tutelage.model.forward import CausalModel, target_log_probs, undressed
from tutelage.model.workspace import PIECE_BYTES, Workspace
from tutelage.training.step import accumulate_gradients
from tutelage.tree.prefix_tree import merge


@pytest.fixture(autouse=True)
def _no_idle_pieces(monkeypatch):
    monkeypatch.setattr(workspace, "_idle", {})


def test_tensors_of_one_pass_lie_apart():
    room = Workspace(CPU)
    tensors = [
        room.empty(size, 3, dtype=dtype) for size in (1, 5, 7) for dtype in (torch.bfloat16, torch.float64)
    ]
    for number, tensor in enumerate(tensors):
        tensor.fill_(number)
    for number, tensor in enumerate(tensors):
        assert tensor.is_contiguous()
        assert tensor.unique().tolist() == [number]


def test_a_tensor_larger_than_a_piece_has_one_of_its_own():
    tensor = Workspace(CPU).empty(PIECE_BYTES // 2 + 1, dtype=torch.float32)
    assert tensor.fill_(1).sum() == PIECE_BYTES // 2 + 1


def test_the_next_pass_takes_the_memory_of_one_that_is_over():
    first = Workspace(CPU)
    address = first.empty(10, dtype=torch.float32).data_ptr()
    second = Workspace(CPU)
    assert second.empty(10, dtype=torch.float32).data_ptr() != address  # the first is not over
    del first
    assert Workspace(CPU).empty(10, dtype=torch.float32).data_ptr() == address


def fused_model() -> CausalModel:
    module = add_adapter(tiny_model("llama", dtype=torch.float64).module, AdapterSettings(r=4), seed=1)
    assert fuse_layers(undressed(module)) == 2
    return CausalModel(module, CPU, torch.float64)


def gradients_of(model, sums) -> list[torch.Tensor]:
    model.module.zero_grad(set_to_none=True)
    sum(sums).backward()
    return [weight.grad.clone() for weight in model.module.parameters() if weight.grad is not None]


def both_at_once(model, examples) -> list[torch.Tensor]:
    """The slopes of two passes of which the second is made before the first is walked back."""
    return gradients_of(model, [target_log_probs(model, merge(part)).sum() for part in examples])


def one_after_the_other(model, examples) -> list[torch.Tensor]:
    parts = [gradients_of(model, [target_log_probs(model, merge(part)).sum()]) for part in examples]
    return [sum(of_one) for of_one in zip(*parts, strict=True)]


def test_two_passes_may_live_at_once(monkeypatch):
    model, examples = fused_model(), (ragged_examples(6), ragged_examples(9)[4:])
    expected = one_after_the_other(model, examples)
    found = both_at_once(model, examples)
    assert all(
        torch.allclose(one, other, rtol=1e-10, atol=1e-12) for one, other in zip(found, expected, strict=True)
    )
    # Memory that is given away before its pass is over is caught.
    shared = torch.UntypedStorage(PIECE_BYTES)
    monkeypatch.setattr(Workspace, "_piece_of", lambda self, size: shared)
    wrong = both_at_once(model, examples)
    assert not all(torch.allclose(one, other, rtol=1e-3) for one, other in zip(wrong, expected, strict=True))


def test_what_leaves_a_pass_outlives_it():
    model, tree = fused_model(), merge(ragged_examples(6))
    first = target_log_probs(model, tree)
    values = first.detach().clone()
    first = first.detach()
    for _ in range(2):
        target_log_probs(model, merge(ragged_examples(9))).sum().backward()
    assert torch.equal(first, values)


def test_micro_batches_take_the_same_memory_one_after_the_other():
    examples = ragged_examples(6)
    accumulate_gradients(fused_model(), [examples[:3], examples[3:]], normalizer=100)
    assert len(workspace._idle[CPU]) == 1


def test_small_tensors_fill_what_large_ones_leave_of_their_pieces():
    room = Workspace(CPU)
    shares = [0.75, 0.5, 0.2, 0.45] * 10
    tensors = [room.empty(int(share * PIECE_BYTES), dtype=torch.uint8) for share in shares]
    pieces = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    assert len(pieces) == 20  # two tensors fill one; from the last piece alone it would be 30
