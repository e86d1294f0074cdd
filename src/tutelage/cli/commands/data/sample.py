"""`tutelage data sample`: some of the rows, drawn by chance."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_taken,
    tell_reasons,
    write_files,
)
from tutelage.cli.commands.data.models import refuse_less_than_one
from tutelage.codes import Message
from tutelage.errors import RecipeError


def sample(
    options: SourceOptions,
    output: OutputOptions,
    *,
    rows: Annotated[int, Parameter(help="How many rows are drawn.")],
    seed: Annotated[int, Parameter(help="Another seed draws other rows.")] = 123,
    ledger: Ledger = None,
) -> None:
    """Draw some rows, which stay in their order; a larger sample of the same seed holds the smaller one."""
    from tutelage.data.lint.selection import sample_rows
    from tutelage.data.sources.writing import with_row_numbers

    refuse_taken(output, output.output, ledger=ledger)
    refuse_less_than_one(rows=rows)
    opened = open_rows(options, verb="sample")
    records = opened.source.records
    if rows > len(records):
        raise RecipeError(
            "cli.value_out_of_range",
            f"--rows is {rows:,}, but {opened.source.name} has only {len(records):,}.",
        )
    drawn = sample_rows([record.row for record in records], rows, seed=seed)
    left_out = {
        record.row: Message("filter.not_sampled", "not drawn")
        for record in records
        if record.row not in drawn
    }
    kept = [record for record in records if record.row in drawn]
    write_files(output, {output.output: with_row_numbers(kept)}, opened.settings)
    tell_reasons(output, ledger, left_out, what="left out", outcome="dropped", repairs=opened.repairs)
