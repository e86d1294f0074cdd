"""Compare the loss curves of an epoch: trees in fp32 and bf16, and one example at a time: python -m benchmarks.curves

One example at a time runs by transformers' own layers and attention and peft's own forward, in fp32.
"""

import argparse

import numpy as np
import torch

from benchmarks.tables import table
from benchmarks.work import BATCH, RECIPE, add_work_options, load_work
from tutelage.config.recipe import AdapterSettings, TrainingSettings, Tuning
from tutelage.model.adapters import add_adapter
from tutelage.model.assembly import OWN_ATTENTION, load_for_training, without_dropout
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_model
from tutelage.model.sources import ModelSource
from tutelage.system.runtime import settle_process
from tutelage.training.load import probe_examples
from tutelage.training.optimizer import make_optimizer
from tutelage.training.step import optimizer_step
from tutelage.training.validation import validate
from tutelage.tree.batches import BatchPlan
from tutelage.tree.examples import Example

CPU = torch.device("cpu")


def main() -> None:
    """Train an epoch in each way and print how far the curves are apart."""
    settle_process()
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_options(parser)
    parser.add_argument(
        "--steps", type=int, default=10_000, help="at most so many optimiser steps of an epoch"
    )
    options = parser.parse_args()
    source, renderer, splits = load_work(options)
    training, validation = (
        [renderer.example(row, train_on="assistant") for row in splits[name]]
        for name in ("train", "validation")
    )
    curves = {
        "trees, fp32": run(_over_trees(source, training, torch.float32), training, validation, options),
        "trees, bf16": run(_over_trees(source, training, torch.bfloat16), training, validation, options),
        "1 at a time, fp32": run(_one_at_a_time(source), training, validation, options, micro_batch_size=1),
    }
    _print(curves, reference="1 at a time, fp32")


def _over_trees(source: ModelSource, training: list[Example], dtype: torch.dtype) -> CausalModel:
    probes = probe_examples(training, np.array([len(example.ids) for example in training]))
    return load_for_training(
        source, Tuning(adapter=_adapter()), CPU, dtype, seed=RECIPE["seed"], probes=probes
    )


def _one_at_a_time(source: ModelSource) -> CausalModel:
    module = load_model(source.folder, dtype=torch.float32, device=CPU, attention=OWN_ATTENTION)
    adapted = add_adapter(without_dropout(module), _adapter(), seed=RECIPE["seed"], fused=False)
    return CausalModel(adapted, CPU, torch.float32, fallback_reason="the reference is one example at a time")


def _adapter() -> AdapterSettings:
    return AdapterSettings(r=RECIPE["rank"], lora_alpha=RECIPE["alpha"])


def run(
    model: CausalModel,
    training: list[Example],
    validation: list[Example],
    options: argparse.Namespace,
    *,
    micro_batch_size: int | None = None,
) -> list[float]:
    """Return the loss of every step, and at last that of the validation rows."""
    plan = BatchPlan(len(training), BATCH, epochs=1, seed=RECIPE["seed"])
    settings = TrainingSettings(learning_rate=RECIPE["learning_rate"], weight_decay=RECIPE["weight_decay"])
    optimizer = make_optimizer(model.module, settings)
    losses = [
        optimizer_step(
            model,
            [training[index] for index in plan.examples_of_step(step)],
            optimizer,
            micro_batch_size=micro_batch_size or BATCH,
            max_grad_norm=RECIPE["max_grad_norm"],
        ).loss
        for step in range(min(options.steps, plan.steps))
    ]
    return [*losses, validate(model, validation)["loss"]]


def _print(curves: dict[str, list[float]], *, reference: str) -> None:
    steps = len(curves[reference]) - 1
    rows = []
    for name, losses in curves.items():
        apart = [abs(one - other) for one, other in zip(losses, curves[reference], strict=True)]
        rows.append([name, f"{losses[-1]:.4f}", f"{max(apart[:-1]):.1e}", f"{apart[-1]:.1e}"])
    head = ("way", "validation loss", "furthest step from the reference", "validation from the reference")
    print(f"{steps} steps")
    print(table(head, rows))


if __name__ == "__main__":
    main()
