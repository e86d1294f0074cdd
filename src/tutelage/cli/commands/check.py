"""`tutelage check`: lint the data."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import DataOptions
from tutelage.cli.sessions import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.lint import record_of_fault, show_lint_report, show_readiness
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EXIT_USAGE, EXIT_WARNINGS, DataError
from tutelage.stages.check import check as check_data


def check(
    options: DataOptions = DataOptions(),  # noqa: B008 - frozen
    *,
    strict: Annotated[
        bool, Parameter(help="Exit with code 1 if there are warnings.", negative="", show_default=False)
    ] = False,
    json: Annotated[
        bool,
        Parameter(help="Print the result as JSON, with every finding.", negative="", show_default=False),
    ] = False,
    near_duplicates: Annotated[bool, Parameter(help="Look for near-duplicate prompts.")] = True,
) -> int:
    """Find problems in your data; nothing is written."""
    try:
        with opened_inputs(LoadedRecipe(options.load(), {}), is_quiet=json) as (inputs, reporter):
            found = check_data(inputs, reporter, near_duplicates=near_duplicates)
    except DataError as fault:
        if not json or options.debug:
            raise
        console.print_json(record_of_fault(fault))
        return EXIT_USAGE
    if json:
        console.print_long_json(found.to_record())
    else:
        show_lint_report(found)
        console.print_message()
        show_readiness(found, _command(options))
    return EXIT_WARNINGS if strict and found.has_warnings else 0


def _command(options: DataOptions) -> list[str]:
    """Return the command that starts a run with the same rows and settings."""
    words = ["tutelage", "run", *([str(options.recipe)] if options.recipe else [])]
    given = {
        "--data": options.data,
        "--model": options.model,
        "--prompt-template": options.prompt_template,
        "--split": options.split,
    }
    given["--instruction"] = options.instruction
    words += [word for name, value in given.items() if value is not None for word in (name, value)]
    words += [
        word
        for name, values in (("--map", options.map), ("--set", options.set))
        for value in values
        for word in (name, value)
    ]
    return words
