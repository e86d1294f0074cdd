"""About how long a training will take and how much memory, before anything is loaded."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tutelage.config.recipe import Tuning
from tutelage.model.folders import read_shapes
from tutelage.model.loading import load_config
from tutelage.training.peak_memory import peak_memory_bytes
from tutelage.tree.batches import BatchPlan
from tutelage.tree.examples import Unit, examples_of
from tutelage.tree.prefix_tree import count_distinct

# Of the rate that plain matrix products reach here, a whole step reached between these shares where it was measured.
SHARE_OF_PRODUCTS = (0.15, 0.45)


@dataclass(frozen=True)
class Shape:
    """What of a model decides the cost of a step."""

    body_parameters: int
    head_parameters: int
    hidden: int
    layers: int


@dataclass(frozen=True)
class Estimate:
    """A range of seconds for the optimiser steps, and about the peak memory in bytes."""

    steps: int
    seconds: tuple[float, float]
    memory_bytes: int


def estimate(
    folder: Path,
    tuning: Tuning,
    plan: BatchPlan,
    units: Sequence[Unit],
    *,
    flops_per_second: float,
    dtype: torch.dtype,
    micro_batch_size: int,
    longest: int,
    reads_before: bool = False,
) -> Estimate:
    """Count the products of one step of each kind over the distinct tokens of the first steps, and scale.

    `longest` is the place of the unit with the most tokens, which decides the memory if it comes late. Where the model
    `reads_before`, all answers go through it once more, without a backward pass.
    """
    shape = read_shape(folder)
    probed = min(plan.steps, 20)
    batches = [examples_of([units[index] for index in plan.examples_of_step(step)]) for step in range(probed)]
    nodes = [count_distinct(batch) for batch in batches]
    supervised = sum(example.supervised for batch in batches for example in batch)
    # Forward and backward are 2 + 2 products per weight; a weight that is trained itself costs 2 more. Backward goes
    # through the last blocks alone where nothing before them is trained.
    is_adapter, blocks = tuning.is_lora, tuning.last_blocks
    trained = 1.0 if blocks is None else blocks / shape.layers
    products = 4 if is_adapter else 2 + 4 * trained
    weights_used = shape.body_parameters * sum(nodes) + shape.head_parameters * supervised
    runs = products * plan.steps + (2 * plan.steps_per_epoch if reads_before else 0)
    seconds = weights_used / flops_per_second * runs / probed
    low, high = SHARE_OF_PRODUCTS
    memory = peak_memory_bytes(
        load_config(folder),
        tuning,
        [[units[index] for index in plan.examples_of_step(step)] for step in range(probed)]
        + [[units[longest]]],
        parameters=shape.body_parameters + shape.head_parameters,
        dtype=dtype,
        micro_batch_size=micro_batch_size,
    )
    return Estimate(plan.steps, (seconds / high, seconds / low), memory)


def read_shape(folder: Path) -> Shape:
    """Read the shape of a model from its config and from the headers of its weight files."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden = config.get("hidden_size") or config["n_embd"]
    head = hidden * config["vocab_size"]
    total = sum(
        math.prod(shape) for path in folder.glob("*.safetensors") for shape in read_shapes(path).values()
    )
    embeddings = head if config.get("tie_word_embeddings", True) else 2 * head
    return Shape(total - embeddings, head, hidden, config.get("num_hidden_layers") or config["n_layer"])
