"""A session whose reports are printed, for one command."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tutelage.cli.views.terminal import NOTHING, Terminal
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.run.folder import RunFolder
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter
from tutelage.stages.session import Session
from tutelage.system.importing import import_quickly
from tutelage.system.interruption import INTERRUPTION


@contextmanager
def opened(
    run: RunFolder, loaded: LoadedRecipe, *, before: Mapping[str, Callable[[], None]] = NOTHING
) -> Iterator[Session]:
    """Give a session on a run; `before` is what is printed before a stage begins, as `Terminal` has it."""
    with Terminal(run, before=before) as terminal:
        yield Session(run, loaded, listener=terminal, interruption=INTERRUPTION, preload=import_quickly)


@contextmanager
def opened_inputs(loaded: LoadedRecipe, *, is_quiet: bool = False) -> Iterator[tuple[Inputs, Reporter]]:
    """Give the inputs of a recipe without a run, and whom its stages report to.

    With `is_quiet` standard output is another program's: only what concerns the model and the machine is printed, on
    standard error.
    """
    with Terminal(is_quiet=is_quiet) as terminal:
        reporter = Reporter(terminal)
        yield Inputs(loaded, reporter, preload=import_quickly), reporter


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Give whom a stage without a recipe reports to, and print what it reports."""
    with Terminal() as terminal:
        yield Reporter(terminal)
