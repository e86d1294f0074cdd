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
    run: RunFolder,
    loaded: LoadedRecipe,
    *,
    before: Mapping[str, Callable[[], None]] = NOTHING,
    is_quiet: bool = False,
) -> Iterator[Session]:
    """Give a session on a run; `before` and `is_quiet` are as `Terminal` has them."""
    with Terminal(run, before=before, is_quiet=is_quiet) as terminal:
        yield Session(run, loaded, listener=terminal, interruption=INTERRUPTION, preload=import_quickly)


@contextmanager
def opened_inputs(loaded: LoadedRecipe, *, is_quiet: bool = False) -> Iterator[tuple[Inputs, Reporter]]:
    """Give the inputs of a recipe without a run, and whom its stages report to; `is_quiet` is as `Terminal` has it."""
    with Terminal(is_quiet=is_quiet) as terminal:
        reporter = Reporter(terminal)
        yield Inputs(loaded, reporter, preload=import_quickly), reporter


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Give whom a stage without a recipe reports to, and print what it reports."""
    with Terminal() as terminal:
        yield Reporter(terminal)


def forgive_ctrl_c() -> bool:
    """Tell whether Ctrl-C stopped what was under way, and let the command go on; another signal ends the process."""
    return INTERRUPTION.forgive_ctrl_c()
