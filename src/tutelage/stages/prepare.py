"""Stage 1: the rows are read, checked, split and rendered, and take the place of what the run held."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tutelage.codes import all_codes
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.events import Prepared, StageSkipped, Waited
from tutelage.run.folder import SPLITS
from tutelage.run.history import record_stage
from tutelage.stages.base_model import changed_model_files
from tutelage.stages.functions import changed_format
from tutelage.stages.inputs import Inputs
from tutelage.stages.prepared import replacing_data
from tutelage.stages.reporter import Reporter
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.data.dataset.preparation import PreparedData


def prepare(session: Session, *, overwrite: bool = False) -> Preparation:
    """Prepare the rows of a run; those that are there already stay unless they would be made of something else now.

    RunFolderError where they would, and `overwrite` does not allow to replace them.
    """
    run = session.run
    if run.preparation.exists() and not overwrite:
        _check_prepared_rows(session)
        session.inputs.check_targets()
        session.reporter.emit(StageSkipped(stage="prepare", path=run.data))
        return read_artifact(Preparation, run.preparation)
    with session.writing(), preparing(session) as prepared:
        return prepared.preparation


@contextmanager
def preparing(session: Session, *, keeps_results: bool = False) -> Iterator["PreparedData"]:
    """Prepare the rows, and give them; if all goes well with them, the run has them then.

    The run holds nothing else then, unless `keeps_results`, when a training goes on with it.
    """
    run = session.run
    is_first = not run.preparation.exists()
    with (
        _nothing_left(session, is_first=is_first),
        session.replacing_stage("prepare", is_live=is_first) as finish,
    ):
        with replacing_data(run, keeps_results=keeps_results) as folder:
            begin = time.monotonic()
            prepared = prepare_into(folder, session.inputs, session.reporter)
            seconds = time.monotonic() - begin
            found = prepared.preparation
            session.reporter.emit(Prepared(rows=found.rows, tokens=found.tokens, preparation=found))
            for note in found.notes:
                if all_codes()[note.code].warns:
                    session.reporter.warn(note.code, note.message)
            yield prepared
            if not run.recipe.exists():
                session.record_recipe()  # first, so that the folder alone says how to go on
            session.pause_log()  # the file gives way with all else that says nothing of the new rows
        if not keeps_results:  # a training that goes on writes these lines behind its own
            session.begin_log()
        session.record_recipe()
        record_stage(run, "prepare", seconds=seconds)
        finish(prepared.preparation)


@contextmanager
def _nothing_left(session: Session, *, is_first: bool) -> Iterator[None]:
    """Leave no log of a run that could not begin."""
    try:
        yield
    except BaseException:
        if is_first and not session.run.preparation.exists():
            session.discard_log()
        raise


def prepare_into(folder: Path, inputs: Inputs, reporter: Reporter) -> "PreparedData":
    """Write a data folder, and return what it holds."""
    from tutelage.data.dataset.preparation import check_token_ids, prepare
    from tutelage.evaluation.task.choice import choose_metrics
    from tutelage.model.loading import vocabulary_size

    data = inputs.find_data()
    if not inputs.has_model():
        inputs.require_readable_rows()  # before a model is fetched for nothing
    source = inputs.source
    recipe = inputs.recipe
    inputs.check_targets()
    inputs.warn_of_larger_tokenizer()
    inputs.note_about_adapter()
    tokenizer, renderer = inputs.tokenizer, inputs.renderer
    if not source.is_checked:
        reporter.note(
            "model.checksums_skipped",
            "the base model's files were not hashed, so later commands can only check its weights.",
        )
    preparation = prepare(
        data,
        recipe.data,
        renderer,
        folder=folder,
        context_length=inputs.context_length,
        model=recipe.model,
        weights=source.fingerprint,
        model_files=source.files,
        is_checked=source.is_checked,
        adapter=source.adapter_sha256,
        objective=recipe.objective,
        encoder=inputs.objective.rows,
        choose_task=choose_metrics if recipe.objective.has_effect("evaluation.primary_metric") else None,
        progress=reporter.progress("Rendering rows", None),
    )
    reporter.emit(Waited())
    for rows in preparation.splits.values():
        check_token_ids(
            rows,
            vocabulary=vocabulary_size(source.folder),
            text_of=lambda number: str(tokenizer.convert_ids_to_tokens(number)),
        )
    return preparation


def prepare_aside(inputs: Inputs, reporter: Reporter) -> "PreparedData":
    """Prepare rows that go into no run.

    Their files are gone by then, and what is mapped of them is there for as long as it is in use.
    """
    with TemporaryDirectory() as folder:
        return prepare_into(Path(folder), inputs, reporter)


def prepare_local(inputs: Inputs, reporter: Reporter) -> "PreparedData | None":
    """Prepare rows aside, or return None where the data or the model would have to be fetched first."""
    has_model = inputs.check_local_targets()  # refuses a name that means nothing
    if not inputs.has_data():
        return None
    if has_model:
        return prepare_aside(inputs, reporter)
    inputs.require_readable_rows()
    return None


def _check_prepared_rows(session: Session) -> None:
    """Stop where the rows of a run are made of something else than they would be now, or are damaged."""
    changed = _changed_parts(session)
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{session.run.root} already holds a run with different {' and '.join(changed)}. Choose another"
            " --output, or add --overwrite to replace it.",
        )
    for name in SPLITS:
        session.rows(name)


def _changed_parts(session: Session) -> list[str]:
    """Return the names of what the prepared rows of a run would be made of otherwise now."""
    from tutelage.data.dataset.fingerprints import changed_parts, fingerprints_of

    run, inputs = session.run, session.inputs
    before = read_artifact(Preparation, run.preparation).fingerprints
    data = inputs.find_data()
    if changed_format(run, inputs.functions.row_format):
        return ["format function"]
    if before.get("data") != data.sha256:
        return ["data"]  # which needs no model to be seen
    renderer, recipe = inputs.renderer, inputs.recipe
    now = fingerprints_of(
        data.sha256,
        recipe.data,
        renderer,
        context_length=inputs.context_length,
        weights=inputs.source.fingerprint,
        adapter=inputs.source.adapter_sha256,
        objective=recipe.objective,
    )
    changed = changed_parts(before, now)
    of_model = changed_model_files(run, inputs.source.files)
    return [*changed, "model"] if of_model and "model" not in changed else changed
