"""Tutelage's own step on the common work: variants bf16 and fp32, the type of the matrix products.

A variant such as bf16-unshared leaves out what makes the step fast, for `benchmarks.ablation`.
"""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.runners.job import StepClock, batches, print_training, read_job
from tutelage.config.recipe import AdapterSettings, TrainingSettings, Tuning
from tutelage.model.sources import locate_model
from tutelage.system.fetching import user_cache
from tutelage.system.runtime import choose_device, choose_dtype, settle_process
from tutelage.tree.examples import Example

DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
# What a variant replaces: no two rows have a common prefix; layers and adapters keep the code of transformers and peft.
UNSHARED = {"tutelage.tree.prefix_tree.common_prefix_length": lambda *_: 0}
UNFUSED = {
    "tutelage.model.assembly.fuse_layers": lambda *_: 0,
    "tutelage.model.adapters.fuse_adapters": lambda *_: 0,
}
ABLATIONS = {"": {}, "-unshared": UNSHARED, "-unfused": UNFUSED, "-neither": UNSHARED | UNFUSED}
VARIANTS = tuple(f"{dtype}{ablation}" for dtype in DTYPES for ablation in ABLATIONS)


def main() -> None:
    """Train for the steps of the job and print what they took."""
    job, variant = read_job(__doc__, VARIANTS)
    settle_process()  # as the command line does, before torch is imported
    dtype, dash, ablation = variant.partition("-")
    with ExitStack() as replaced:
        for name, other in ABLATIONS[dash + ablation].items():
            replaced.enter_context(patch(name, other))
        _train(job, dtype)


def _train(job: dict[str, Any], dtype: str) -> None:
    from tutelage.model.assembly import load_for_training
    from tutelage.training.load import probe_examples
    from tutelage.training.optimizer import make_optimizer
    from tutelage.training.step import optimizer_step

    steps = [[example_of(row) for row in batch] for batch in batches(job)]
    probed = [example for step in steps for example in step]
    settings = TrainingSettings(
        seed=job["seed"],
        learning_rate=job["learning_rate"],
        weight_decay=job["weight_decay"],
        max_grad_norm=job["max_grad_norm"],
    )
    device = choose_device("cpu")
    model = load_for_training(
        locate_model(job["model"], cache=user_cache(), progress=print),
        Tuning(adapter=AdapterSettings(r=job["rank"], lora_alpha=job["alpha"])),
        device,
        choose_dtype(DTYPES[dtype], device),
        seed=settings.seed,
        probes=probe_examples(probed, np.array([len(example.ids) for example in probed])),
    )
    optimizer = make_optimizer(model.module, settings)
    clock = StepClock()
    clock.start()
    losses = [
        optimizer_step(
            model,
            examples,
            optimizer,
            micro_batch_size=job["batch"],
            max_grad_norm=settings.max_grad_norm,
        ).loss
        for examples in steps
    ]
    print_training(job, clock, losses, ("tutelage", "torch", "transformers", "peft"))


def example_of(row: dict[str, Any]) -> Example:
    prompt_tokens = len(row["ids"]) - row["supervised"]
    return Example(row["row"], tuple(row["ids"]), prompt_tokens=prompt_tokens, supervised=row["supervised"])


if __name__ == "__main__":
    main()
