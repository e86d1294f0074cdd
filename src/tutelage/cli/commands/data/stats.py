"""`tutelage data stats`: what some rows are, in numbers."""

from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.commands.data.files import SourceOptions, open_rows, tokens_of
from tutelage.cli.opening import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.description import show_description
from tutelage.config.recipe_file import LoadedRecipe


def stats(
    options: SourceOptions,
    *,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON.", negative="", show_default=False)
    ] = False,
) -> None:
    """Count rows, fields, turns, languages, lengths and near-duplicates; nothing is judged or written."""
    from tutelage.data.lint.description import describe

    opened = open_rows(
        options,
        verb="stats",
        honoured=("data.prompt", "data.loss_on", "model.name_or_path"),
        is_quiet=json,
    )
    read = opened.conversations
    found = describe(opened.source.records, read.rows, read.formats, tokens=_tokens(opened))
    if json:
        console.say_json(found.to_record())
    else:
        show_description(found)


def _tokens(opened: Any) -> list[int]:
    with opened_inputs(LoadedRecipe(opened.recipe, {})) as (inputs, _):
        if not inputs.has_model():
            return []
        inputs.warn_of_larger_tokenizer()
        return list(tokens_of(opened, opened.checked(), inputs.renderer).values())
