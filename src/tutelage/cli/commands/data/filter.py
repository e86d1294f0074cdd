"""`tutelage data filter`: the rows that are what they should be."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_outputs,
    tell_reasons,
    write_files,
)
from tutelage.cli.opening import opened_inputs
from tutelage.cli.options import as_path
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.stages.data.filter import Outcome, RowFilter, check_filter
from tutelage.stages.data.filter import filter_rows as filter_by

HONOURED = (
    "data.keep_empty_output",
    "data.max_row_bytes",
    "data.prompt",
    "data.loss_on",
    "model.name_or_path",
    "training.objective",
)


def _unset(help: str) -> Parameter:
    """Return what is said of an option that asks for nothing unless it is given."""
    return Parameter(help=help, negative="", show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class FilterOptions:
    """What a row has to be, to be kept."""

    _: KW_ONLY
    without_rule: Annotated[
        tuple[int, ...], _unset("Leave out what a rule of `tutelage check` tells of; may be repeated.")
    ] = ()
    only_rule: Annotated[
        tuple[int, ...], _unset("Keep only what a rule of `tutelage check` tells of; may be repeated.")
    ] = ()
    language: Annotated[
        tuple[str, ...], _unset("Keep rows in this language, as en or zh; may be repeated.")
    ] = ()
    without_language: Annotated[
        tuple[str, ...], _unset("Leave out rows in this language; may be repeated.")
    ] = ()
    matching: Annotated[
        tuple[str, ...],
        _unset("Keep rows in whose texts this regular expression is found; may be repeated."),
    ] = ()
    not_matching: Annotated[
        tuple[str, ...],
        _unset("Leave out rows in whose texts this regular expression is found; may be repeated."),
    ] = ()
    min_tokens: Annotated[int | None, _unset("Least tokens of a row as the model sees it.")] = None
    max_tokens: Annotated[int | None, _unset("Most tokens of a row as the model sees it.")] = None
    min_answer_characters: Annotated[int | None, _unset("Least characters of the last answer.")] = None
    max_answer_characters: Annotated[int | None, _unset("Most characters of the last answer.")] = None
    per_cluster: Annotated[
        int | None,
        _unset("Most rows of one cluster, whose prompts are near-duplicates of each other."),
    ] = None
    desirable: Annotated[
        bool, _unset("Leave out rows whose label or kto_tag says that the answer is not wanted (KTO rows).")
    ] = False
    run: Annotated[
        Path | None,
        Parameter(
            help="A run that was prepared from DATA; --outcome and --reason are about its ledger.",
            converter=as_path,
            show_default=False,
        ),
    ] = None
    outcome: Annotated[
        tuple[Outcome, ...], _unset("Keep rows that the run kept, repaired or dropped; may be repeated.")
    ] = ()
    reason: Annotated[
        tuple[str, ...],
        _unset("Keep rows of which the run's ledger gives a reason with these words; may be repeated."),
    ] = ()


def filter_rows(
    options: SourceOptions,
    output: OutputOptions,
    chosen: FilterOptions = FilterOptions(),
    *,
    ledger: Ledger = None,
) -> None:
    """Keep rows by rule, language, length or pattern.

    The reason why each other row was left out is printed, and listed with `--ledger`.
    """
    wanted = RowFilter(**vars(chosen))
    check_filter(wanted)
    refuse_outputs(output, output.output, ledger=ledger)
    rows = open_rows(options, verb="filter", honoured=HONOURED)
    with opened_inputs(LoadedRecipe(rows.recipe, {})) as (inputs, reporter):
        kept = filter_by(rows, wanted, inputs, reporter)
    write_files(output, {output.output: kept.values}, kept.settings)
    tell_reasons(output, ledger, rows, kept.left_out)
