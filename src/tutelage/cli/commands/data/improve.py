"""`tutelage data improve`: answers or instructions that a language model writes anew."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OpenedRows,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_taken,
    tell_reasons,
    write_files,
)
from tutelage.cli.commands.data.models import (
    ModelOptions,
    refuse_less_than_one,
    remembering_model,
    show_questions,
)
from tutelage.cli.views import console


def improve_rows(
    options: SourceOptions,
    output: OutputOptions,
    model: ModelOptions,
    *,
    part: Annotated[
        Literal["response", "instruction"],
        Parameter(help="What is written anew: the last answer, or the instruction and its answer."),
    ] = "response",
    max_questions: Annotated[
        int | None,
        Parameter(help="Most questions to put; later rows stay as they are.", show_default=False),
    ] = None,
    ledger: Ledger = None,
) -> None:
    """Have a language model say what is lacking in each row and write it anew; all rows are written."""
    from tutelage.data.synthetic.improving import improve, why_not

    refuse_taken(output, output.output, ledger=ledger)
    refuse_less_than_one(max_questions=max_questions)
    asked = remembering_model(model)
    opened = open_rows(options, verb="improve", takes_kto=False)
    rows = opened.conversations.rows
    if output.dry_run:
        could = sum(why_not(row, part) is None for row in rows)
        console.say(f"{asked.name} would be asked {min(could, max_questions or could):,} questions.")
        console.say("\nDry run: nothing was asked, nothing was written.")
        return
    with console.progress("Rows", len(rows)) as advance:
        improved = improve(
            rows,
            asked,
            part,
            max_questions=max_questions,
            seed=model.seed,
            progress=lambda done: advance(done, ""),
        )
    show_questions(asked)
    settings = opened.settings.model_copy(update={"map": {}})
    write_files(output, {output.output: _values(improved, opened, asked.name)}, settings)
    unchanged = {one.row.row: one.unchanged for one in improved if one.unchanged is not None}
    tell_reasons(output, ledger, unchanged, what="unchanged", outcome="kept", repairs=opened.repairs)


def _values(improved: list[Any], opened: OpenedRows, name: str) -> list[dict[str, Any]]:
    """Return all rows in their own formats; a row that was written anew says by which model."""
    from tutelage.data.formats.column_map import mapped
    from tutelage.data.rows.records import MADE_BY, SOURCE_ROW
    from tutelage.data.sources.conversion import to_format, unread_fields
    from tutelage.data.sources.writing import source_row, with_row_numbers

    values: list[dict[str, Any]] = []
    for record, one in zip(opened.source.records, improved, strict=True):
        old = mapped(record, opened.settings.map)
        if one.unchanged is None:
            new = to_format(one.row, one.row.format)
            values.append({SOURCE_ROW: source_row(old), **new, **unread_fields(old), MADE_BY: name})
        else:
            values += with_row_numbers([old])
    return values
