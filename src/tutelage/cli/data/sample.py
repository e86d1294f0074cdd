"""`tutelage data sample`: some of the rows, drawn by chance."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.data.files import OutputOptions, SourceOptions, open_rows, refuse_taken, write_files
from tutelage.errors import RecipeError


def sample(
    options: SourceOptions,
    output: OutputOptions,
    *,
    rows: Annotated[int, Parameter(help="How many rows are drawn.")],
    seed: Annotated[int, Parameter(help="Another seed draws other rows.")] = 123,
) -> None:
    """Draw some rows, which stay in their order; a larger sample of the same seed holds the smaller one."""
    from tutelage.data.selection import sample_rows
    from tutelage.data.writing import with_row_numbers

    refuse_taken(output, output.output)
    if rows < 1:
        raise RecipeError(f"--rows is {rows}, but it has to be 1 or more.")
    opened = open_rows(options, verb="sample")
    records = opened.source.records
    if rows > len(records):
        raise RecipeError(f"--rows is {rows:,}, but {opened.source.name} has only {len(records):,}.")
    drawn = sample_rows([record.row for record in records], rows, seed=seed)
    left_out = {record.row: "not drawn" for record in records if record.row not in drawn}
    kept = [record for record in records if record.row in drawn]
    write_files(output, {output.output: with_row_numbers(kept)}, opened.settings, left_out=left_out)
