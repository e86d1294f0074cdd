"""`tutelage data sample`: draw a random sample of rows."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    read_rows_of,
    require_writable_outputs,
    write_files,
    write_reasons,
)
from tutelage.stages.data.sample import sample as sample_rows
from tutelage.stages.settings import require_positive


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
    require_writable_outputs(output, output.output, ledger=ledger)
    require_positive(rows=rows)
    opened = read_rows_of(options, command="sample")
    drawn = sample_rows(opened, rows, seed=seed)
    write_files(output, {output.output: drawn.values}, drawn.settings)
    write_reasons(output, ledger, opened, drawn.left_out)
