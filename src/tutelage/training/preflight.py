"""What would stop a training later is found before its first step: room on the disk, and memory."""

from pathlib import Path

from tutelage.config.recipe import Recipe
from tutelage.errors import MemoryExhaustedError, RunFolderError
from tutelage.model.forward import CausalModel
from tutelage.model.loading import weights_in
from tutelage.system.runtime import available_memory_bytes
from tutelage.system.storage import free_bytes
from tutelage.training.optimizer import trainable_parameters

# Of each trained number a checkpoint holds the weight and two moments, in float32.
CHECKPOINT_BYTES, WEIGHT_BYTES = 12, 4


def require_disk_space(folder: Path, model: CausalModel, *, saved: int, keep: int) -> None:
    """Stop where the checkpoints that are kept at once, and the model, do not fit on the disk of a run's folder.

    Of the checkpoints `saved` are there already.
    """
    trained = sum(parameter.numel() for parameter in trainable_parameters(model.module))
    # The latest ones, the best, and the one that is being written, less those that are there already.
    checkpoints = keep + 2 - saved
    needed = trained * (CHECKPOINT_BYTES * max(1, checkpoints) + WEIGHT_BYTES)
    free = free_bytes(folder)
    if needed > free:
        raise RunFolderError(
            "storage.not_enough_space",
            f"The checkpoints and the model need {needed:,} bytes in {folder}, but only {free:,} are free"
            " there. Free some space, choose another --output, or lower training.save_total_limit.",
        )


def require_memory(folder: Path, recipe: Recipe, *, bytes_per_weight: int) -> None:
    """Stop where the memory does not even hold the weights, their gradients and the optimiser.

    How much one step needs beside them is not known for certain; where it is too much, its trees become smaller.
    """
    # Of a weight that is trained there are its gradient and two moments too.
    in_place = 4 * WEIGHT_BYTES if recipe.tuning.last_blocks is None else WEIGHT_BYTES
    of_each = bytes_per_weight if recipe.tuning.is_lora else in_place
    needed, free = weights_in(folder) * of_each, available_memory_bytes()
    if needed > free:
        raise MemoryExhaustedError(
            "train.not_enough_memory",
            f"Training the model needs at least {needed:,} bytes of memory, but only {free:,} are free."
            " Close other programs, choose a smaller model, or set training.method=lora.",
        )
