"""`tutelage compare`: compare runs on the same test rows with a baseline."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import Debug, FailIfWorse, as_path
from tutelage.cli.views import console
from tutelage.cli.views.comparison import show_comparison
from tutelage.errors import EXIT_WORSE, RunFolderError
from tutelage.stages.compare import compare as compare_runs
from tutelage.stages.compare import write_page


def compare(
    *runs: Annotated[
        Path,
        Parameter(
            help="Folders of evaluated runs, the baseline first. RUN@STEP names an evaluated checkpoint.",
            negative="",
        ),
    ],
    baseline: Annotated[
        Path | None,
        Parameter(help="The run to compare the others with. Default: the first.", converter=as_path),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="Also write the comparison to this HTML file.", converter=as_path)
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace the HTML file if it exists.", negative="", show_default=False)
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON.", negative="", show_default=False)
    ] = False,
    fail_if_worse: FailIfWorse = False,
    debug: Debug = False,
) -> int:
    """Compare the fine-tuned models of several runs, row by row.

    Runs that differ only in their seed count as one recipe.
    """
    if output is not None and (output.is_dir() or (output.exists() and not overwrite)):
        raise RunFolderError(
            "cli.output_exists", f"{output} already exists. Name another file, or add --overwrite."
        )
    if output is None and not fail_if_worse:
        console.require_stdout()
    compared = compare_runs(runs, baseline=baseline)
    if json:
        console.print_json(compared.to_record())
    else:
        show_comparison(compared)
    if output is not None:
        write_page(output, compared)
        if not json:
            console.print_message(f"\nPage: {output}")
    return EXIT_WORSE if fail_if_worse and compared.is_any_worse else 0
