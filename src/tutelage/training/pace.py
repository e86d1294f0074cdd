"""How fast this run is on this machine: a little of its own work, timed before the first step, and thrown away."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from tutelage.config.recipe import TrainingSettings
from tutelage.model.class_head import class_head_name
from tutelage.model.forward import NODES_MULTIPLE, CausalModel, target_log_probs
from tutelage.training.objective import Objective
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.training.step import accumulate_gradients, clip_gradients
from tutelage.training.work import Pace, count_computed, count_targets, paths_of
from tutelage.tree.examples import Example, Unit, examples_of
from tutelage.tree.prefix_tree import merge

# Of the numbers that an update moves, so many are timed; more take longer in proportion.
NUMBERS_TIMED = 2**22


def measure_pace(
    model: CausalModel,
    batch: Sequence[Unit],
    settings: TrainingSettings,
    *,
    objective: Objective,
    read: Sequence[Unit],
    warms_up: bool,
) -> Pace:
    """Time a micro-batch forward and backward, an update, and what is `read` forward alone; no answer is timed here.

    What is read without a backward pass is read in large trees, so that of `read` there should be more than of `batch`.

    No weight, no optimizer's state and no generator of random numbers is another one afterwards. With `warms_up` a pass
    before the one that is timed makes the kernels of its shapes, which a training makes once.
    """
    computed = count_computed(paths_of(examples_of(batch)), is_padded=model.is_padded)

    def train() -> None:
        accumulate_gradients(model, [batch], normalizer=objective.normalizer(batch), objective=objective)

    with _generators_kept(model.device):
        model.module.train()
        if warms_up:
            train()
        trained = _seconds(train)
        update = _seconds_of_an_update(model.module, settings)
        for parameter in trainable_parameters(model.module):
            parameter.grad = None
        model.module.eval()
        node, target = _seconds_of_reading(model, examples_of(read))
    return Pace(trained / computed, update, node, target, decoding_steps=0.0, sample_steps=0.0)


def _seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Put back torch's generators, from which dropout draws."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _seconds_of_an_update(module: Any, settings: TrainingSettings) -> float:
    """Time clipping the gradients that are there, and an update of numbers that are none of the model's."""
    clipping = _seconds(lambda: clip_gradients(make_optimizer(module, settings), 0.0))
    trained = sum(parameter.numel() for parameter in trainable_parameters(module))
    device = next(module.parameters()).device
    numbers = torch.nn.Parameter(torch.zeros(min(trained, NUMBERS_TIMED), 1, device=device))
    numbers.grad = torch.ones_like(numbers)
    optimizer = make_optimizer(torch.nn.ParameterList([numbers]), settings)
    optimizer.step()  # which makes its state

    def update() -> None:
        optimizer.step()
        numbers[0].item()  # waits for a GPU

    return clipping + _seconds(update) * trained / len(numbers)


@torch.no_grad()
def _seconds_of_reading(model: CausalModel, examples: Sequence[Example]) -> tuple[float, float]:
    """Return the seconds of a node and of a target, from two passes of which one asks the head for every token.

    Where the head is asked for nearly every token as it is, or tells classes, a node's seconds are those of both.
    """

    def seconds_of(rows: Sequence[Example]) -> float:
        return _seconds(lambda: target_log_probs(model, merge(rows)).sum().item())

    computed = count_computed(paths_of(examples), is_padded=model.is_padded)
    filled = computed if model.is_padded else -(-computed // NODES_MULTIPLE) * NODES_MULTIPLE
    seconds = seconds_of(examples)
    if class_head_name(model.module) is not None:
        return seconds / filled, 0.0
    all_supervised = [
        replace(example, supervised=len(example.read_ids), earlier_spans=()) for example in examples
    ]
    targets = count_targets(examples, is_padded=model.is_padded)
    more = count_targets(all_supervised, is_padded=model.is_padded) - targets
    if more < targets:
        return seconds / filled, 0.0
    target = max(0.0, seconds_of(all_supervised) - seconds) / more
    return max(0.0, seconds - targets * target) / filled, target
