"""`tutelage data stats`: describe rows in numbers."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import SourceOptions, read_rows_of
from tutelage.cli.sessions import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.description import show_description
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.stages.data.describe import describe


def stats(
    options: SourceOptions,
    *,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON.", negative="", show_default=False)
    ] = False,
) -> None:
    """Count rows, fields, messages, languages and near-duplicates."""
    rows = read_rows_of(
        options,
        command="stats",
        honoured=("data.prompt_template", "data.train_on", "model.name_or_path"),
        is_quiet=json,
    )
    with opened_inputs(LoadedRecipe(rows.recipe, {})) as (inputs, _):
        found = describe(rows, inputs)
    if json:
        console.print_json(found.to_record())
    else:
        show_description(found)
