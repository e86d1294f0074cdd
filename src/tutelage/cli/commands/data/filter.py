"""`tutelage data filter`: the rows that are what they should be."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OpenedRows,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_taken,
    tell_reasons,
    tokens_of,
    write_files,
)
from tutelage.cli.commands.data.models import refuse_less_than_one
from tutelage.cli.opening import opened_inputs
from tutelage.cli.options import as_path
from tutelage.cli.views import console
from tutelage.codes import Message
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.data.quality.checks import Outcome
from tutelage.errors import RecipeError
from tutelage.text.patterns import BoundedPattern, compile_pattern

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
    """Keep the rows that are what they should be; the reason of every other one is told."""
    from tutelage.data.lint.selection import leave_out
    from tutelage.data.prompts.encoding import control_tokens
    from tutelage.data.sources.writing import with_row_numbers

    criteria = criteria_of(chosen)
    refuse_taken(output, output.output, ledger=ledger)
    opened = open_rows(options, verb="filter", honoured=HONOURED)
    rows, records = opened.conversations.rows, opened.source.records
    renderer = None
    if criteria.needs_tokens:
        with opened_inputs(LoadedRecipe(opened.recipe, {})) as (inputs, _):
            inputs.warn_of_larger_tokenizer()
            renderer = inputs.renderer
    checked = opened.checked()
    tokens = dict.fromkeys((row.row for row in rows), 0)  # of a row without an example
    if renderer:
        with console.waiting("Counting tokens"):
            tokens |= tokens_of(opened, checked, renderer)
    left_out = leave_out(
        records,
        rows,
        checked,
        criteria,
        tokens=tokens,
        controls=control_tokens(renderer.tokenizer) if renderer else (),
        label_separator=opened.settings.label_separator,
        note=lambda message: console.note(message.code, message.text),
        before=_told_otherwise(chosen, opened.source) | (_undesirable(opened) if chosen.desirable else {}),
    )
    kept = [record for record in records if record.row not in left_out]
    write_files(output, {output.output: with_row_numbers(kept)}, opened.settings)
    tell_reasons(output, ledger, left_out, what="left out", outcome="dropped", repairs=opened.repairs)


def criteria_of(chosen: FilterOptions) -> Any:
    """Return what was asked for, or stop where it means nothing."""
    from tutelage.data.lint.selection import RULES_OF_ROWS, Criteria
    from tutelage.data.quality.languages import LATIN, NO_LETTERS, SCRIPTS, WORDS

    if chosen == FilterOptions():
        raise RecipeError(
            "filter.no_criterion",
            "Nothing is filtered by. Name at least one criterion, for example --without-rule 10.",
        )
    if (chosen.run is None) != (not chosen.outcome and not chosen.reason):
        raise RecipeError(
            "cli.option_needs_another",
            "--run names the run whose ledger --outcome and --reason are about: give it with one of them.",
        )
    _refuse_unknown("rule", (*chosen.without_rule, *chosen.only_rule), RULES_OF_ROWS)
    languages = (*WORDS, *SCRIPTS, LATIN, NO_LETTERS)
    _refuse_unknown("language", (*chosen.language, *chosen.without_language), languages)
    counts = {
        name: value for name, value in vars(chosen).items() if name.split("_")[0] in ("min", "max", "per")
    }
    refuse_less_than_one(**counts)
    return Criteria(
        without_rules=chosen.without_rule,
        only_rules=chosen.only_rule,
        languages=chosen.language,
        without_languages=chosen.without_language,
        matching=_patterns("--matching", chosen.matching),
        not_matching=_patterns("--not-matching", chosen.not_matching),
        **counts,
    )


def _refuse_unknown(what: str, given: Sequence[object], known: Sequence[object]) -> None:
    for one in given:
        if one not in known:
            raise RecipeError(
                "filter.unknown_value",
                f"{one!r} is no {what} to filter by. There are {', '.join(map(str, known))}.",
            )


def _patterns(option: str, given: Sequence[str]) -> list[BoundedPattern]:
    try:
        return [compile_pattern(text) for text in given]
    except re.error as fault:
        raise RecipeError(
            "filter.invalid_regex",
            f"{option} {fault.pattern!r} is no regular expression: {fault}. A sign like ( or * that stands for itself"
            " needs a backslash before it.",
        ) from fault


def _told_otherwise(chosen: FilterOptions, source: Any) -> dict[int, Message]:
    """Return the rows of which the ledger of the run that was named tells something else."""
    from tutelage.data.dataset.ledger import rows_told_otherwise
    from tutelage.run.folder import RunFolder

    if chosen.run is None:
        return {}
    return rows_told_otherwise(
        RunFolder(chosen.run),
        source=source.name,
        sha256=source.sha256,
        outcomes=chosen.outcome,
        reasons=chosen.reason,
    )


def _undesirable(opened: OpenedRows) -> dict[int, Message]:
    """Return the rows whose label says that the answer is not wanted."""
    from tutelage.data.formats.column_map import mapped
    from tutelage.data.formats.kto_rows import is_desirable

    records = (mapped(record, opened.settings.map) for record in opened.source.records)
    reason = Message("filter.undesirable", "its label says that the answer is not wanted")
    return {record.row: reason for record in records if is_desirable(record.value) is False}
