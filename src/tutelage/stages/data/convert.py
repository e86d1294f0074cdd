"""Rows in another format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.errors import DataError, RecipeError
from tutelage.stages.data.rows import SourceRows

ROWS_NAMED = 8


@dataclass(frozen=True)
class Converted:
    """Rows in their new format, the settings to read them with, why others are not among them, and what they lost.

    That are fields and keys that the format would not mean, each with how many rows had it.
    """

    values: Sequence[dict[str, Any]]
    settings: DataSettings
    left_out: Mapping[int, Message]
    left_behind: Mapping[str, int]


def check_conversion(to: str | None, *, chosen_only: bool, drop_unfit: bool) -> None:
    """Stop where it is said what becomes of rows that the format has no place for, and there is no such format."""
    if ((chosen_only or drop_unfit) and to is None) or (chosen_only and to == "preference"):
        raise RecipeError(
            "cli.option_needs_another",
            "--chosen-only and --drop-unfit only apply to a conversion. Give the format with --to.",
        )


def convert(
    rows: SourceRows, to: str | None = None, *, chosen_only: bool = False, drop_unfit: bool = False
) -> Converted:
    """Return rows in a format, by default each in its own; each keeps its number as `source_row`.

    DataError where the format has no place for one, unless such rows are to be dropped.
    """
    from tutelage.data.sources.convert_rows import convert_rows

    check_conversion(to, chosen_only=chosen_only, drop_unfit=drop_unfit)
    made = convert_rows(rows.mapped_records(), rows.conversations.rows, to, chosen_only=chosen_only)
    if made.unfit and not drop_unfit:
        raise DataError("convert.rows_do_not_fit", _refusal(to, made.unfit), row=next(iter(made.unfit)))
    left_out = {
        row: Message(unfit.code, f"the format {to} cannot hold {unfit.text}")
        for row, unfit in made.unfit.items()
    }
    settings = rows.settings.model_copy(update={"column_map": {}, "format": to or rows.settings.format})
    return Converted(made.values, settings, left_out, made.left_behind)


def _refusal(to: str | None, unfit: Mapping[int, Message]) -> str:
    what = next(iter(unfit.values())).text
    rows: Sequence[int] = [row for row, found in unfit.items() if found.text == what]
    named = ", ".join(map(str, rows[:ROWS_NAMED]))
    more = f" and {len(rows) - ROWS_NAMED:,} more" if len(rows) > ROWS_NAMED else ""
    one = len(rows) == 1
    remedies = {"a rejected answer": ", or keep only the chosen answers with --chosen-only"}
    if to != "messages" and "plain text" not in what and "rejected" not in what:
        remedies[what] = ", or choose --to messages"
    return (
        f"The format {to} cannot hold {what}, which {'row' if one else 'rows'} {named}{more}"
        f" {'has' if one else 'have'}. Drop such rows with --drop-unfit{remedies.get(what, '')}."
    )
