"""`tutelage prepare`: stage 1."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.next_steps import show_next_steps
from tutelage.cli.opening import check_targets, parts_that_changed, prepare_into, prepare_what_is_here
from tutelage.cli.options import Options, open_new_run, record_recipe
from tutelage.codes import Message
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation
from tutelage.run.folder import SPLITS, RunFolder
from tutelage.run.history import record_stage
from tutelage.run.lock import locked

LABELS_NAMED = 8
WARNED = ("data.similar_labels",)


def prepare(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Read, check and split the data, and render every row as the model will see it."""
    run, loaded = open_new_run(options)
    if run.preparation.exists() and not options.overwrite and not options.dry_run:
        refuse_other_parts(run, loaded)
        check_targets(loaded)
        console.say(
            f"{run.data} is made of the same data, model, prompt and settings already: nothing to do."
        )
        show_next_steps(run, loaded)
        return
    if options.dry_run:
        preparation = prepare_what_is_here(loaded)  # refuses what the real one would
        show_dry_run(
            run,
            loaded,
            writes=[run.recipe, run.data],
            guarded=[run.data],
            removes=run.results_of_other_data(),
            training=preparation and preparation.splits["train"],
        )
        return
    console.heading("1 Prepare")
    with locked(run), preparing(run, loaded):
        pass
    show_next_steps(run, loaded)


def refuse_other_parts(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Stop where the rows of a run are made of something else than they would be now, or are damaged."""
    from tutelage.data.dataset.preparation import read_prepared

    changed = parts_that_changed(run, loaded)
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.root} already holds a run, made of other {' and '.join(changed)}. Choose another --output, or add"
            " --overwrite to replace it.",
        )
    for name in SPLITS:
        read_prepared(run, name)


@contextmanager
def preparing(run: RunFolder, loaded: LoadedRecipe, *, keeps_results: bool = False) -> Iterator[Any]:
    """Prepare a recipe's data, tell of it, and give the Preparation; if all goes well with it, the run has it then.

    The run holds nothing else then, unless a training goes on with it.
    """
    from tutelage.data.dataset.preparation import replacing_data

    with replacing_data(run, keeps_results=keeps_results) as folder:
        begin = time.monotonic()
        prepared = prepare_into(folder, loaded)
        seconds = time.monotonic() - begin
        show_preparation(prepared.preparation)
        yield prepared
        if not run.recipe.exists():
            record_recipe(run, loaded)  # first, so that the folder alone says how to go on
    record_recipe(run, loaded)
    record_stage(run, "prepare", seconds=seconds)
    console.say(f"Written to {run.data}")


def show_preparation(preparation: Preparation) -> None:
    """Print what became of the rows."""
    rows, tokens = preparation.rows, preparation.tokens
    console.say(
        f"{rows.read:,} rows from {preparation.source}: {rows.kept:,} kept,"
        f" {rows.repaired:,} repaired, {rows.dropped:,} dropped."
    )
    console.say(
        f"Split by {preparation.split}: {rows.train:,} train, {rows.test:,} test,"
        f" {rows.validation:,} validation. {_what_is_read(preparation)}"
    )
    if tokens.train:
        computed = tokens.train - rows.train  # nothing follows the last token of an example
        shared = 1 - tokens.distinct / computed
        console.say(
            f"{tokens.train:,} training tokens, {tokens.supervised:,} supervised; the longest example has"
            f" {tokens.longest:,}. Over the whole set {shared:.0%} of the work is shared prefixes."
        )
    for name, leaked in preparation.leaks.items():
        if leaked:
            told = (
                f"{len(leaked)} {name} rows have a prompt that is also trained on: "
                f"{', '.join(map(str, leaked[:10]))}. --split group keeps equal prompts together."
            )
            console.warn(Message("data.leak", told))
    if not rows.validation:
        told = "there are no validation rows, so the last weights are kept, not the best."
        console.warn(Message("data.no_validation_rows", told))
    for note in preparation.notes:
        if note.code in WARNED:
            console.warn(Message(note.code, note.message))
        else:
            console.note(note.code, note.message)


def _what_is_read(preparation: Preparation) -> str:
    if not preparation.classes:
        return f"Prompt style {preparation.prompt}."
    from tutelage.data.quality.label_names import quoted

    labels = ", ".join(map(quoted, preparation.classes[:LABELS_NAMED]))
    more = (
        f" and {len(preparation.classes) - LABELS_NAMED:,} more" if preparation.classes[LABELS_NAMED:] else ""
    )
    return f"Read as {preparation.prompt}; labels: {labels}{more}."
