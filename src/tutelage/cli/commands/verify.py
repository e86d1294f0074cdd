"""`tutelage verify`: check every file's hash, and retrain the last steps."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import Debug, RunOptions, SkipChecksums
from tutelage.cli.sessions import named_run, opened
from tutelage.cli.views import console
from tutelage.config.recipe_file import load
from tutelage.stages.verify import check_run_files, compare_files, train_again


def verify(
    run_folder: Annotated[Path, Parameter(help="Run folder of a trained model, e.g. runs/quickstart.")],
    *,
    from_step: Annotated[
        int | None,
        Parameter(
            help="Step to retrain from; 0 starts from the base model. Default: the last checkpoint but one."
        ),
    ] = None,
    skip_checksums: SkipChecksums = False,
    debug: Debug = False,
) -> None:
    """Check a run's hashes and retrain its last steps.

    Nothing is written. The retrained weights must be bit-identical to the run's.
    """
    run, own = named_run(RunOptions(target=run_folder, skip_checksums=skip_checksums, debug=debug))
    trained = load(run.require(run.trained_recipe, stage="train"), {}, [])
    loaded = replace(trained, unchecked=own.unchecked)
    with opened(run, loaded) as session:
        console.heading("Files")
        found = compare_files(session)
        console.table([], found.rows)
        check_run_files(run, found)
        console.print_message()
        console.heading("Training")
        again = train_again(session, from_step=from_step)
        console.print_message(
            f"Retrained from step {again.first} to step {again.last}: weights and optimizer are bit-identical"
            f" to {again.checkpoint}."
        )
