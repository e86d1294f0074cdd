"""Train again from one checkpoint to a later one, and compare to the bit; nothing is written into the run."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tutelage.config.recipe import Recipe
from tutelage.errors import Interrupted, RunFolderError
from tutelage.model.sources import ModelSource
from tutelage.run.events import Event, StepTaken
from tutelage.system.interruption import Interruption
from tutelage.system.storage import file_sha256
from tutelage.training.checkpoint import Checkpoint, changes_since, restore, save_state
from tutelage.training.load import OpenedRun
from tutelage.training.loop import TrainCallbacks, TrainState, train
from tutelage.training.objective import Objective
from tutelage.training.optimizer import make_optimizer


def replay(
    recipe: Recipe,
    source: ModelSource,
    opened: OpenedRun,
    *,
    objective: Objective,
    begin: Checkpoint | None,
    end: Checkpoint,
    advance: Callable[[int], None],
) -> list[str]:
    """Return which files of the checkpoint `end` come out otherwise when it is trained again from `begin`.

    None begins with the untuned model. Validation and samples change no weight, and are left out.
    """
    changed = changes_since(begin.fingerprint, end.fingerprint) if begin else end.allowed
    if changed:
        raise RunFolderError(
            "verify.changes_were_allowed",
            f"Changes were allowed on the way to step {end.progress.step}: {', '.join(changed)}. Only the"
            " steps after that can be repeated; choose a later checkpoint with --from-step.",
        )
    optimizer = make_optimizer(opened.model.module, recipe.training)
    if begin:
        restore(begin, opened.model, optimizer, recipe)
    different: list[str] | None = None
    until = Interruption()

    def emit(event: Event) -> None:
        if isinstance(event, StepTaken):
            advance(1)
            until.requested = event.step == end.progress.step

    def compare(progress: TrainState, is_needed: bool) -> bool:
        nonlocal different
        if progress.step == end.progress.step:
            with tempfile.TemporaryDirectory() as folder:
                save_state(Path(folder), opened.model, optimizer, recipe, base=source.name)
                different = [
                    path.name
                    for path in sorted(Path(folder).glob("*.safetensors"))
                    if file_sha256(path) != file_sha256(end.folder / path.name)
                ]
        return True

    # What ended the run early, or would have, is no part of the steps between.
    settings = recipe.training.model_copy(update={"early_stopping_patience": 0})
    with suppress(Interrupted):
        train(
            opened.model,
            optimizer,
            opened.training,
            [],
            settings,
            objective=objective,
            watch=TrainCallbacks(emit, compare, list),
            begin=begin.progress if begin else TrainState(),
            interruption=until,
        )
    if different is None:
        raise Interrupted
    return different
