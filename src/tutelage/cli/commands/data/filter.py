"""`tutelage data filter`: keep rows that meet criteria."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    read_rows_of,
    require_writable_outputs,
    write_files,
    write_reasons,
)
from tutelage.cli.options import as_path
from tutelage.cli.sessions import opened_inputs
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.stages.data.filter import Outcome, RowFilter, check_filter
from tutelage.stages.data.filter import filter_rows as filter_by

HONOURED = (
    "data.keep_empty_output",
    "data.max_row_bytes",
    "data.prompt_template",
    "data.train_on",
    "model.name_or_path",
    "training.objective",
)


def _unset(help: str) -> Parameter:
    """Return the parameter of an option that has no effect unless it is given."""
    return Parameter(help=help, negative="", show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class FilterOptions:
    """Criteria for keeping a row."""

    _: KW_ONLY
    without_rule: Annotated[
        tuple[int, ...], _unset("Drop rows that this rule of `tutelage check` reports. Repeatable.")
    ] = ()
    only_rule: Annotated[
        tuple[int, ...], _unset("Keep only rows that this rule of `tutelage check` reports. Repeatable.")
    ] = ()
    language: Annotated[
        tuple[str, ...], _unset("Keep rows in this language, e.g. en or zh. Repeatable.")
    ] = ()
    without_language: Annotated[tuple[str, ...], _unset("Drop rows in this language. Repeatable.")] = ()
    matching: Annotated[
        tuple[str, ...],
        _unset("Keep rows whose text matches this regular expression. Repeatable."),
    ] = ()
    not_matching: Annotated[
        tuple[str, ...],
        _unset("Drop rows whose text matches this regular expression. Repeatable."),
    ] = ()
    min_tokens: Annotated[int | None, _unset("Minimum number of tokens of a row, template included.")] = None
    max_tokens: Annotated[int | None, _unset("Maximum number of tokens of a row, template included.")] = None
    min_answer_characters: Annotated[
        int | None, _unset("Minimum number of characters of the last answer.")
    ] = None
    max_answer_characters: Annotated[
        int | None, _unset("Maximum number of characters of the last answer.")
    ] = None
    per_cluster: Annotated[
        int | None,
        _unset("Keep at most this many rows of each cluster of near-duplicate prompts."),
    ] = None
    desirable: Annotated[bool, _unset("Drop KTO rows whose answer is labelled undesirable.")] = False
    run: Annotated[
        Path | None,
        Parameter(
            help="A run prepared from DATA, for --outcome and --reason.",
            converter=as_path,
            show_default=False,
        ),
    ] = None
    outcome: Annotated[
        tuple[Outcome, ...], _unset("Keep rows that the run kept, repaired or dropped. Repeatable.")
    ] = ()
    reason: Annotated[
        tuple[str, ...],
        _unset("Keep rows whose reason in the run's ledger contains this text. Repeatable."),
    ] = ()


def filter_rows(
    options: SourceOptions,
    output: OutputOptions,
    chosen: FilterOptions = FilterOptions(),
    *,
    ledger: Ledger = None,
) -> None:
    """Keep rows by rule, language, length or pattern.

    The reason for every dropped row is printed, and listed with `--ledger`.
    """
    wanted = RowFilter(**vars(chosen))
    check_filter(wanted)
    require_writable_outputs(output, output.output, ledger=ledger)
    rows = read_rows_of(options, command="filter", honoured=HONOURED)
    with opened_inputs(LoadedRecipe(rows.recipe, {})) as (inputs, reporter):
        kept = filter_by(rows, wanted, inputs, reporter)
    write_files(output, {output.output: kept.values}, kept.settings)
    write_reasons(output, ledger, rows, kept.left_out)
