"""The prepared rows of a run: what may be read of them, what they are refused for, and how others take their place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import changed_settings, check
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import ONE_ANSWER, RunFolder, reading_faults, split_files
from tutelage.system.storage import remove, staged_folder

if TYPE_CHECKING:
    from tutelage.data.dataset.prepared_rows import PreparedRows


@contextmanager
def replacing_data(run: RunFolder, *, keeps_results: bool = False) -> Iterator[Path]:
    """Give a folder to prepare into, which in the end takes the place of the run's data: all of it, or none.

    What later stages made of earlier data is removed when the new data is whole on the disk, and not before; it stays
    where a training is to go on with changed data.
    """
    with staged_folder(run.data) as staged:
        yield staged
        for path in () if keeps_results else run.results_of_other_data():
            remove(path)


def check_prepared_settings(run: RunFolder, recipe: Recipe) -> None:
    """Stop when the data folder was prepared under other settings of the data or the model."""
    prepared = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    with reading_faults(run.preparation):
        before = check(prepared.settings, {})
    if prepared.objective != recipe.training.objective:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.data} was prepared for training.objective={prepared.objective}, not"
            f" {recipe.training.objective}. Run `tutelage prepare {run.root} --overwrite` with the new value"
            " first.",
        )
    changed = changed_settings(before, recipe, sections=("data", "model"))
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.data} was prepared with different settings: {', '.join(changed)}. Run `tutelage prepare"
            f" {run.root} --overwrite` with the new values first.",
        )


def read_prepared(run: RunFolder, split: str, answers: Sequence[str] = ONE_ANSWER) -> "PreparedRows":
    """Map the rows of one split with their answers; only the test and the validation rows may be none."""
    from tutelage.data.dataset.prepared_rows import map_split

    files = split_files(run.data, split)
    for path in (files.texts, files.ids, files.table, files.spans):
        run.require(path, stage="prepare")
    rows = map_split(run.data, split, answers)
    with reading_faults(files.texts):
        if split == "train" and not rows:
            raise ValueError("it holds no rows, and training needs at least one")
    return rows
