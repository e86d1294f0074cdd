"""The rows of a source, read to make another file of them, and the rows that such a file will hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.codes import Message, all_codes
from tutelage.config.recipe import DataSettings, Recipe
from tutelage.stages.inputs import Inputs

if TYPE_CHECKING:
    from tutelage.data.formats.formats import Conversations
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.data.quality.checks import CheckedRow
    from tutelage.data.rows.records import Record, Source


@dataclass(frozen=True)
class SourceRows:
    """A source's records and their conversations, in one order, and the recipe that they were read with."""

    source: "Source"
    recipe: Recipe
    conversations: "Conversations"

    @property
    def settings(self) -> DataSettings:
        return self.recipe.data

    @property
    def notes(self) -> list[Message]:
        """What has to be said of the rows; nothing is trained here."""
        return [
            note
            for note in (*self.source.notes, *self.conversations.notes)
            if not all_codes()[note.code].about_training
        ]

    @property
    def repairs(self) -> dict[int, tuple[Message, ...]]:
        """What the reader left out of rows, by row."""
        return {row.row: row.repairs for row in self.conversations.rows if row.repairs}

    def mapped_records(self) -> "list[Record]":
        """Return the records with their fields under the names that data.column_map gives them."""
        from tutelage.data.formats.column_map import mapped

        return [mapped(record, self.settings.column_map) for record in self.source.records]

    def checked(self) -> "list[CheckedRow]":
        """Return what `prepare` would make of each row."""
        from tutelage.data.dataset.preparation import sizes_of
        from tutelage.data.quality.checks import check_rows

        row_format = self.recipe.objective.row_format
        return check_rows(
            self.conversations.rows, self.settings, sizes_of(self.source), row_format=row_format
        )


@dataclass(frozen=True)
class Selection:
    """Rows as they are written, the settings to read them with again, and why each other row is not among them."""

    values: Sequence[dict[str, Any]]
    settings: DataSettings
    left_out: Mapping[int, Message]


def read_rows(inputs: Inputs, *, keeps_fields: bool = True) -> SourceRows:
    """Read the rows of a recipe's data, each however large.

    Who loses the fields beside those of a row's format does not get rows that say something else without them, such as
    those with an answer that their label calls unwanted.
    """
    from tutelage.data.formats.formats import read_conversations

    source = inputs.read_data(keeps_large_rows=True)
    read = read_conversations(
        source.records, source=source.name, settings=inputs.recipe.data, keeps_fields=keeps_fields
    )
    return SourceRows(source, inputs.recipe, read)


def count_tokens(
    rows: SourceRows, checked: "Sequence[CheckedRow]", renderer: "PromptRenderer"
) -> dict[int, int]:
    """Return the tokens of every row of which the model would see any."""
    from tutelage.data.dataset.token_figures import count_row_tokens

    source = rows.source
    files = {record.row: record.file for record in source.records}
    return count_row_tokens(
        checked, renderer, train_on=rows.settings.train_on, file_of=lambda row: files[row] or source.name
    )
