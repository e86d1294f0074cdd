"""`tutelage data convert`: rows in another format, or another kind of file."""

from collections.abc import Mapping, Sequence
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
from tutelage.cli.views import console
from tutelage.codes import Message
from tutelage.config.recipe import FormatName
from tutelage.errors import DataError, RecipeError

ROWS_NAMED = 8


def convert(
    options: SourceOptions,
    output: OutputOptions,
    *,
    to: Annotated[
        FormatName | None,
        Parameter(help="The format of the rows. Default: the one that each row has.", show_default=False),
    ] = None,
    chosen_only: Annotated[
        bool,
        Parameter(
            help="Leave the rejected answers of preference rows behind.", negative="", show_default=False
        ),
    ] = False,
    drop_unfit: Annotated[
        bool,
        Parameter(
            help="Leave out the rows that the format has no place for, rather than stop.",
            negative="",
            show_default=False,
        ),
    ] = False,
    ledger: Ledger = None,
) -> None:
    """Write rows in another format or another kind of file; each keeps its number as `source_row`."""
    if ((chosen_only or drop_unfit) and to is None) or (chosen_only and to == "preference"):
        raise RecipeError(
            "cli.option_needs_another",
            "--chosen-only and --drop-unfit are about another format: name it with --to.",
        )
    from tutelage.data.formats.column_map import mapped
    from tutelage.data.sources.conversion import convert_rows

    refuse_taken(output, output.output, ledger=ledger)
    opened = open_rows(options, verb="convert", takes_kto=to is None)
    records = [mapped(record, opened.settings.map) for record in opened.source.records]
    made = convert_rows(records, opened.conversations.rows, to, chosen_only=chosen_only)
    if made.unfit and not drop_unfit:
        raise DataError("convert.rows_do_not_fit", _refusal(to, made.unfit), row=next(iter(made.unfit)))
    for what, count in made.left_behind.items():
        console.note(
            "convert.field_left_behind",
            f"the {what} is left behind ({count:,} times), for the format {to} would not mean it.",
        )
    left_out = {
        row: Message(unfit.code, f"the format {to} has no place for {unfit.text}")
        for row, unfit in made.unfit.items()
    }
    settings = opened.settings.model_copy(update={"map": {}, "format": to or opened.settings.format})
    write_files(output, {output.output: made.values}, settings)
    tell_reasons(output, ledger, left_out, what="left out", outcome="dropped", repairs=opened.repairs)


def _refusal(to: FormatName | None, unfit: Mapping[int, Message]) -> str:
    what = next(iter(unfit.values())).text
    rows: Sequence[int] = [row for row, found in unfit.items() if found.text == what]
    named = ", ".join(map(str, rows[:ROWS_NAMED]))
    more = f" and {len(rows) - ROWS_NAMED:,} more" if len(rows) > ROWS_NAMED else ""
    one = len(rows) == 1
    remedies = {"a rejected answer": ", or take the chosen answers alone with --chosen-only"}
    if to != "messages" and "plain text" not in what and "rejected" not in what:
        remedies[what] = ", or choose --to messages"
    return (
        f"The format {to} has no place for {what}, which {'row' if one else 'rows'} {named}{more}"
        f" {'has' if one else 'have'}. Leave such rows out with --drop-unfit{remedies.get(what, '')}."
    )
