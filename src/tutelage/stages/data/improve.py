"""Answers or instructions that a language model writes anew."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tutelage.run.events import Waited
from tutelage.stages.data.rows import Selection, SourceRows
from tutelage.stages.reporter import Reporter
from tutelage.stages.settings import require_positive

if TYPE_CHECKING:
    from tutelage.data.synthetic.cached_model import RememberingModel
    from tutelage.data.synthetic.reflection import ImprovedRow

# The last answer, or the instruction and its answer.
ImprovedField = Literal["response", "instruction"]


def count_requests(
    rows: SourceRows, part: ImprovedField = "response", *, max_requests: int | None = None
) -> int:
    """Return how many rows would be asked about."""
    from tutelage.data.synthetic.reflection import why_not

    could = sum(why_not(row, part) is None for row in rows.conversations.rows)
    return min(could, max_requests or could)


def improve(
    rows: SourceRows,
    model: "RememberingModel",
    reporter: Reporter,
    part: ImprovedField = "response",
    *,
    max_requests: int | None = None,
    seed: int = 123,
) -> Selection:
    """Have a model say what is lacking in each row and write it anew.

    All rows come back, in their own formats; `left_out` says of each that stays as it was, why.
    """
    from tutelage.data.synthetic.reflection import improve as improve_rows

    require_positive(max_requests=max_requests)
    conversations = rows.conversations.rows
    improved = improve_rows(
        conversations,
        model,
        part,
        max_requests=max_requests,
        seed=seed,
        progress=reporter.progress("Rows", len(conversations)),
    )
    reporter.emit(Waited())
    settings = rows.settings.model_copy(update={"column_map": {}})
    unchanged = {one.row.row: one.unchanged for one in improved if one.unchanged is not None}
    return Selection(_values(improved, rows, model.name), settings, unchanged)


def _values(improved: "Sequence[ImprovedRow]", rows: SourceRows, name: str) -> list[dict[str, Any]]:
    """Return all rows in their own formats; a row that was written anew says by which model."""
    from tutelage.data.rows.records import MADE_BY, SOURCE_ROW
    from tutelage.data.sources.convert_rows import to_format, unread_fields
    from tutelage.data.sources.writing import source_row, with_row_numbers

    values: list[dict[str, Any]] = []
    for old, one in zip(rows.mapped_records(), improved, strict=True):
        if one.unchanged is None:
            new = to_format(one.row, one.row.format)
            values.append({SOURCE_ROW: source_row(old), **new, **unread_fields(old), MADE_BY: name})
        else:
            values += with_row_numbers([old])
    return values
