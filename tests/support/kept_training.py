"""A training of a tiny model that keeps its steps in a run folder, and goes on from one of them."""

from dataclasses import replace

import torch
from support.sessions import as_pair
from support.tiny_models import VOCABULARY, ragged_examples

from tutelage.config.recipe import AdapterSettings, Recipe, TrainingSettings, Tuning
from tutelage.model.assembly import load_for_training
from tutelage.run.folder import RunFolder
from tutelage.system.interruption import Interruption
from tutelage.system.storage import files_with_hashes
from tutelage.training.checkpoint import (
    STATE,
    Checkpoint,
    machine_of,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from tutelage.training.loop import TrainCallbacks, TrainState, train
from tutelage.training.optimizer import make_optimizer

STEPS = 40
TRAINING = ragged_examples(24)
VALIDATION = ragged_examples(8, seed=20)
SETTINGS = TrainingSettings(
    seed=5,
    max_steps=STEPS,
    early_stopping_patience=0,
    per_device_train_batch_size=2,
    learning_rate=1e-3,
    weight_decay=0.1,
    eval_steps=10,
    save_steps=1,
    save_total_limit=STEPS,
)
LORA = Tuning(adapter=AdapterSettings(r=4, lora_alpha=8, lora_dropout=0.2))
FUSED = Tuning(adapter=AdapterSettings(r=4, lora_alpha=8))
FULL = Tuning("full")
LAST_BLOCK = Tuning("last-block")  # of a classification, whose classes are the ids here


class Training:
    """The middle of `tune`: a loop that keeps each step in a run folder, and goes on from one."""

    def __init__(self, root, source, recipe):
        self.run, self.recipe, self.source = RunFolder(root), recipe, source
        self.events = []
        self.model = None

    def open(self):
        # A model that was trained before will do: what a resume forgets to restore is then at its end.
        self.model = self.model or load_for_training(
            self.source,
            self.recipe.tuning,
            torch.device("cpu"),
            torch.float32,
            seed=self.recipe.training.seed,
            probes=TRAINING[:2],
            classes=VOCABULARY if self.recipe.training.objective == "classification" else None,
        )
        return self.model, make_optimizer(self.model.module, self.recipe.training)

    def go(self, *, after=None, of=None, until=None, interruption=None):
        """Train to the end, or until the checkpoint of a step is there, from a checkpoint of this run or of another."""
        model, optimizer = self.open()
        begin = TrainState()
        if after is not None:
            checkpoint = read_checkpoint((of or self.run).checkpoints, after)
            restore(checkpoint, model, optimizer, self.recipe)
            begin = checkpoint.progress
        machine = machine_of(model)
        interruption = interruption or Interruption()

        def save(progress, is_needed):
            place = self.run.checkpoint(progress.step)
            kept = Checkpoint(place, progress, 0.0, 0, {}, machine, [], [])
            write_checkpoint(model, optimizer, self.recipe, base="tiny", checkpoint=kept)
            interruption.requested |= progress.step == until
            return True

        return train(
            model,
            optimizer,
            TRAINING,
            VALIDATION,
            self.recipe.training,
            watch=TrainCallbacks(lambda event: self.events.append(as_pair(event)), save, list),
            begin=begin,
            interruption=interruption,
        )

    def state(self, step):
        """Return the hashes of weights and optimiser, and the progress but for the seconds."""
        folder = self.run.checkpoint(step)
        hashes = {name: file["sha256"] for name, file in files_with_hashes(folder).items() if name != STATE}
        return hashes, replace(read_checkpoint(self.run.checkpoints, step).progress, step_seconds=0.0)


def recipe_of(tuning, accumulation=1, **settings):
    if tuning == LAST_BLOCK:
        settings = {"objective": "classification", **settings}
    settings = {"method": tuning.method, **settings}
    training = SETTINGS.model_copy(update={"gradient_accumulation_steps": accumulation, **settings})
    return Recipe(adapter=tuning.adapter, training=training)
