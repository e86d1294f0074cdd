"""What a training keeps in memory: counted from the widths of a model, and bounded by the size of its trees."""

from dataclasses import replace

import pytest
import torch
from support.tiny_models import CPU, FAMILIES, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.model.adapters import add_adapter
from tutelage.model.decoder_layers import fuse_layers
from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs, undressed
from tutelage.model.kept_memory import LARGEST_KEPT_BYTES, NODES_STEP, LayerWidths, largest_tree
from tutelage.model.layer_step import Kept
from tutelage.model.tree_plan import MOST_NODES_KEPT
from tutelage.training.peak_memory import PROGRAM_BYTES, peak_memory_bytes
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

RANK, PARTS = 4, 7
SMOLLM = LayerWidths(layers=30, hidden=576, inner=1536, query=576, key=192, heads=9)
LORA = AdapterSettings(r=RANK)
TUNING = Tuning(adapter=LORA)


def kept_by_a_layer() -> tuple[Kept, int]:
    """Return what the first layer of a tiny model keeps of a tree, and the nodes of the filled tree."""
    module = add_adapter(tiny_model("llama", dtype=torch.float64).module, LORA, seed=1)
    fuse_layers(undressed(module))
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: saved.append(one) or one, lambda one: one):
        target_log_probs(CausalModel(module, CPU, torch.float64), merge(ragged_examples(12)))
    kept = Kept(*saved[2 : 2 + len(Kept._fields)])  # after cos and sin
    return kept, len(kept.x)


def test_the_numbers_that_a_layer_keeps_are_those_that_its_widths_say():
    kept, nodes = kept_by_a_layer()
    apart = {"of_attention", "first_scale", "second_scale"}  # bounded by themselves, and one number a node
    found = sum(one.numel() for name, one in kept._asdict().items() if name not in apart)
    widths = LayerWidths.read(tiny_model("llama").module.config)
    # Query, key and value, gate and up read the same; the ranks of down are kept by themselves.
    assert found == nodes * (widths.kept_numbers() + PARTS * RANK)
    assert found != nodes * (replace(widths, inner=widths.inner - 1).kept_numbers() + PARTS * RANK)


@pytest.mark.parametrize("family", FAMILIES)
def test_widths_are_read_from_the_config_of_every_family(family):
    module = tiny_model(family).module
    widths = LayerWidths.read(module.config)
    counted = {weight.shape for weight in module.parameters()}
    assert widths.layers == 2
    assert any(widths.inner in shape and widths.hidden in shape for shape in counted)
    assert widths.query >= widths.key > 0


def test_a_tree_is_as_large_as_the_weights_or_the_bound_allow():
    def largest(
        widths: LayerWidths, *, itemsize: int = 2, is_fused: bool = True, weight_bytes: int = 0
    ) -> int:
        return largest_tree(
            widths, most=MAX_NODES, itemsize=itemsize, is_fused=is_fused, weight_bytes=weight_bytes
        )

    assert largest(SMOLLM) == 6 * NODES_STEP
    assert largest(SMOLLM, itemsize=4) == 3 * NODES_STEP
    assert largest(SMOLLM, itemsize=4, is_fused=False) == NODES_STEP
    assert largest(SMOLLM, itemsize=4, weight_bytes=10 * LARGEST_KEPT_BYTES) == MAX_NODES
    assert largest(replace(SMOLLM, layers=3000)) == NODES_STEP
    for itemsize in (2, 4, 8):
        nodes = largest(SMOLLM, itemsize=itemsize)
        within, beyond = (
            SMOLLM.kept_bytes(nodes + more, itemsize=itemsize, is_fused=True) for more in (0, NODES_STEP)
        )
        assert within <= LARGEST_KEPT_BYTES < beyond


def test_a_long_row_keeps_the_inputs_of_its_layers_alone():
    just, beyond = (
        SMOLLM.kept_bytes(nodes, itemsize=2, is_fused=True)
        for nodes in (MOST_NODES_KEPT, MOST_NODES_KEPT + 1)
    )
    assert beyond < just / 5
    four_times = SMOLLM.kept_bytes(4 * (MOST_NODES_KEPT + 1), itemsize=2, is_fused=True)
    assert four_times == 4 * beyond


def example(tokens: int, *, row: int = 1) -> Example:
    return Example(
        row, tuple(range(3, 3 + tokens)), prompt_tokens=tokens // 2, supervised=tokens - tokens // 2
    )


def test_the_peak_is_that_of_the_largest_tree_beside_weights_and_optimizer():
    config = tiny_model("llama").module.config

    def peak(*steps: list[Example], dtype=torch.float32, tuning=TUNING, parameters: int = 10**6) -> int:
        return peak_memory_bytes(
            config, tuning, steps, parameters=parameters, dtype=dtype, micro_batch_size=8
        )

    short, long = [example(20), example(30)], [example(900)]
    assert PROGRAM_BYTES < peak(short) < peak(short, long) == peak(long)
    assert peak(short, parameters=2 * 10**6) - peak(short) == 4 * 10**6
    assert peak(short, dtype=torch.bfloat16, parameters=2 * 10**6) - peak(
        short, dtype=torch.bfloat16
    ) == pytest.approx(2 * 10**6)
    full = Tuning("full")
    assert peak(short, tuning=full, parameters=2 * 10**6) - peak(short, tuning=full) >= 16 * 10**6
