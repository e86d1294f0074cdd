"""Some of the rows, drawn by chance."""

from tutelage.codes import Message
from tutelage.errors import RecipeError
from tutelage.stages.data.rows import Selection, SourceRows
from tutelage.stages.settings import require_positive


def sample(rows: SourceRows, count: int, *, seed: int = 123) -> Selection:
    """Draw some rows, which stay in their order; a larger sample of the same seed holds the smaller one."""
    from tutelage.data.lint.selection import sample_rows
    from tutelage.data.sources.writing import with_row_numbers

    require_positive(rows=count)
    records = rows.source.records
    if count > len(records):
        raise RecipeError(
            "cli.value_out_of_range",
            f"--rows is {count:,}, but {rows.source.name} has only {len(records):,}.",
        )
    drawn = sample_rows([record.row for record in records], count, seed=seed)
    left_out = {
        record.row: Message("filter.not_sampled", "not drawn")
        for record in records
        if record.row not in drawn
    }
    kept = [record for record in records if record.row in drawn]
    return Selection(with_row_numbers(kept), rows.settings, left_out)
