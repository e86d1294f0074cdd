"""Open sessions from the options of a command; their events are printed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from tutelage.cli.options import NewRunOptions, RunOptions
from tutelage.cli.run_names import is_there, nearest_run
from tutelage.cli.views.terminal import NOTHING, Before, Terminal
from tutelage.config.recipe_file import LoadedRecipe, load
from tutelage.errors import RunFolderError
from tutelage.run.folder import RunFolder
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter
from tutelage.stages.run_folders import RUNS, earlier_run, new_run, recipe_of, settle_model
from tutelage.stages.session import Session
from tutelage.system.importing import import_quickly
from tutelage.system.interruption import INTERRUPTION
from tutelage.text.spelling import did_you_mean

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@contextmanager
def new_session(
    options: NewRunOptions,
    also: Mapping[str, Any] = NO_SETTINGS,
    *,
    is_new: bool = False,
    before: Before = NOTHING,
) -> Iterator[Session]:
    """Yield the session of a command that starts a run, whether or not the folder already has one.

    `also` are overrides from the command's own options; `is_new` chooses another folder if the first is taken.
    For `before`, see `Terminal`.
    """
    target = options.target
    if target is not None and is_there(target) and target.is_dir():
        recipe_path, root = recipe_of(target), options.output or target
    else:
        recipe_path, root = target, options.output
    run, loaded = new_run(
        recipe_path,
        {**options.overrides(), **also},
        options.set,
        root=root,
        is_new=is_new,
        goes_on=not options.overwrite,
        skip_checksums=options.skip_checksums,
    )
    with opened(run, loaded, before=before) as session:
        yield session


@contextmanager
def earlier_session(
    options: RunOptions,
    also: Mapping[str, Any] = NO_SETTINGS,
    *,
    step: int | None = None,
    is_quiet: bool = False,
) -> Iterator[Session]:
    """Yield the session of a command that continues a run; for the arguments, see `named_run` and `Terminal`."""
    run, loaded = named_run(options, also, step=step)
    with opened(run, loaded, is_quiet=is_quiet) as session:
        yield session


def named_run(
    options: RunOptions, also: Mapping[str, Any] = NO_SETTINGS, *, step: int | None = None
) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a run, or of a step of it, named as TARGET or --output.

    `also` are overrides from the command's own options.
    """
    target, output = options.target, options.output
    if target is not None and is_there(target) and not target.is_dir():
        run = RunFolder(output or RUNS / target.stem, step)
        if not run.recipe.exists():
            raise RunFolderError(
                "run.not_prepared",
                f"{run.root} holds no run yet. Run `tutelage prepare` with the same arguments first.",
            )
        loaded = load(target, {**options.overrides(), **also}, options.set)
        return run, settle_model(loaded, run, skip_checksums=options.skip_checksums)
    if target is not None and not is_there(target):
        raise RunFolderError(
            "run.not_found",
            f"{target} does not exist.{did_you_mean(nearest_run(target))} Name a run folder, for example"
            " runs/quickstart.",
        )
    if target is not None and output is not None and target.resolve() != output.resolve():
        raise RunFolderError(
            "run.named_twice",
            f"Two run folders were given, {target} and --output {output}. Give only one of them.",
        )
    root = target or output
    if root is None:
        raise RunFolderError(
            "run.not_named", "No run folder was given. Name one, for example runs/quickstart."
        )
    return earlier_run(
        root,
        {**options.overrides(), **also},
        options.set,
        step=step,
        skip_checksums=options.skip_checksums,
    )


@contextmanager
def opened(
    run: RunFolder,
    loaded: LoadedRecipe,
    *,
    before: Before = NOTHING,
    is_quiet: bool = False,
) -> Iterator[Session]:
    """Yield a session on a run; for `before` and `is_quiet`, see `Terminal`."""
    with Terminal(run, before=before, is_quiet=is_quiet) as terminal:
        yield Session(run, loaded, listener=terminal, interruption=INTERRUPTION, preload=import_quickly)


@contextmanager
def opened_inputs(loaded: LoadedRecipe, *, is_quiet: bool = False) -> Iterator[tuple[Inputs, Reporter]]:
    """Yield the inputs of a recipe without a run, and a reporter; for `is_quiet`, see `Terminal`."""
    with Terminal(is_quiet=is_quiet) as terminal:
        reporter = Reporter(terminal)
        yield Inputs(loaded, reporter, preload=import_quickly), reporter


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Yield a reporter for a stage without a recipe, and print its events."""
    with Terminal() as terminal:
        yield Reporter(terminal)


def forgive_ctrl_c() -> bool:
    """Return whether Ctrl-C caused the interruption, and clear it so that the command can continue."""
    return INTERRUPTION.forgive_ctrl_c()
