"""What a checkpoint of the default model costs: written, hashed and synced, and read again.

python -m benchmarks.checkpoint_cost FOLDER
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from tutelage.config.recipe import AdapterSettings, Recipe
from tutelage.model.assembly import load_for_training
from tutelage.model.sources import locate_model
from tutelage.run.folder import RunFolder
from tutelage.system.fetching import user_cache
from tutelage.training.checkpoint import Checkpoint, find_checkpoint, machine_of, restore, write_checkpoint
from tutelage.training.loop import TrainState
from tutelage.training.optimizer import make_optimizer
from tutelage.training.step import optimizer_step
from tutelage.tree.examples import Example

TIMES = 5


def measure(folder: Path) -> None:
    """Print the median seconds of each part for an adapter of rank 16."""
    recipe = Recipe(adapter=AdapterSettings())
    source = locate_model(recipe.model.name_or_path, cache=user_cache(), progress=print)
    rows = [Example(row, (1, 2, 3, 4 + row), 2, 2) for row in range(2)]
    device = torch.device("cpu")
    model = load_for_training(source, recipe.tuning, device, torch.float32, seed=1, probes=rows)
    optimizer = make_optimizer(model.module, recipe.training)
    optimizer_step(model, rows, optimizer, micro_batch_size=2, max_grad_norm=1.0)
    run = RunFolder(folder)
    kept = Checkpoint(run.checkpoint(1), TrainState(), 0.0, 0, {}, machine_of(model), [], [])
    written, found = [], []
    for step in range(1, TIMES + 1):
        begin = time.perf_counter()
        checkpoint = replace(kept, folder=run.checkpoint(step), progress=TrainState(step=step))
        write_checkpoint(model, optimizer, recipe, base=source.name, checkpoint=checkpoint)
        written.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    newest = find_checkpoint(run.checkpoints, quarantine=run.quarantine, root=run.root, tell=print)
    found.append(time.perf_counter() - begin)
    assert newest is not None
    begin = time.perf_counter()
    restore(newest, model, optimizer, recipe)
    restored = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in newest.folder.iterdir())
    print(f"{size / 2**20:.0f} MiB; written and synced in {median(written):.2f} s (of {TIMES}, median)")
    print(f"{TIMES} checkpoints hashed in {found[0]:.2f} s, one restored in {restored:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder for the checkpoints, on the disk to measure")
    measure(parser.parse_args().folder)
