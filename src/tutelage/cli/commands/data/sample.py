"""`tutelage data sample`: some of the rows, drawn by chance."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_outputs,
    tell_reasons,
    write_files,
)
from tutelage.stages.data.sample import sample as sample_rows
from tutelage.stages.settings import refuse_less_than_one


def sample(
    options: SourceOptions,
    output: OutputOptions,
    *,
    rows: Annotated[int, Parameter(help="Number of rows to draw.")],
    seed: Annotated[int, Parameter(help="Random seed.")] = 123,
    ledger: Ledger = None,
) -> None:
    """Draw a random sample of rows, in their original order.

    With the same seed, a larger sample contains the smaller one.
    """
    refuse_outputs(output, output.output, ledger=ledger)
    refuse_less_than_one(rows=rows)
    opened = open_rows(options, verb="sample")
    drawn = sample_rows(opened, rows, seed=seed)
    write_files(output, {output.output: drawn.values}, drawn.settings)
    tell_reasons(output, ledger, opened, drawn.left_out)
