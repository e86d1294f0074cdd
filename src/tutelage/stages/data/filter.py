"""The rows that are what they should be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.codes import Message
from tutelage.data.quality.checks import Outcome
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.stages.data.rows import Selection, SourceRows, count_tokens
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter
from tutelage.stages.settings import require_positive
from tutelage.text.patterns import BoundedPattern, compile_pattern

if TYPE_CHECKING:
    from tutelage.data.lint.selection import Criteria


@dataclass(frozen=True)
class RowFilter:
    """What a row has to be, to be kept; what is empty or None asks for nothing.

    Rules are those of `tutelage check`; `outcome` and `reason` are about the ledger of a `run` that was prepared from
    the same source.
    """

    without_rule: Sequence[int] = ()
    only_rule: Sequence[int] = ()
    language: Sequence[str] = ()
    without_language: Sequence[str] = ()
    matching: Sequence[str] = ()
    not_matching: Sequence[str] = ()
    min_tokens: int | None = None
    max_tokens: int | None = None
    min_answer_characters: int | None = None
    max_answer_characters: int | None = None
    per_cluster: int | None = None
    desirable: bool = False
    run: Path | None = None
    outcome: Sequence[Outcome] = ()
    reason: Sequence[str] = ()


def filter_rows(rows: SourceRows, wanted: RowFilter, inputs: Inputs, reporter: Reporter) -> Selection:
    """Return the rows that are as wanted, each with its number as `source_row`, and why every other one is not."""
    from tutelage.data.lint.selection import leave_out
    from tutelage.data.prompts.encoding import control_tokens
    from tutelage.data.sources.writing import with_row_numbers

    criteria = check_filter(wanted)
    conversations, records = rows.conversations.rows, rows.source.records
    renderer = None
    if criteria.needs_tokens:
        inputs.warn_of_larger_tokenizer()
        renderer = inputs.renderer
    checked = rows.checked()
    tokens = dict.fromkeys((row.row for row in conversations), 0)  # of a row without an example
    if renderer:
        with reporter.waiting("Counting tokens"):
            tokens |= count_tokens(rows, checked, renderer)
    left_out = leave_out(
        records,
        conversations,
        checked,
        criteria,
        tokens=tokens,
        controls=control_tokens(renderer.tokenizer) if renderer else (),
        label_separator=rows.settings.label_separator,
        note=lambda message: reporter.note(message.code, message.text),
        before=_rows_with_other_outcome(rows, wanted) | (_undesirable(rows) if wanted.desirable else {}),
    )
    kept = [record for record in records if record.row not in left_out]
    return Selection(with_row_numbers(kept), rows.settings, left_out)


def check_filter(wanted: RowFilter) -> "Criteria":
    """Return what is asked of each row by itself; RecipeError where it means nothing."""
    from tutelage.data.lint.selection import RULES_OF_ROWS, Criteria
    from tutelage.data.quality.languages import LATIN, NO_LETTERS, SCRIPTS, WORDS

    if wanted == RowFilter():
        raise RecipeError(
            "filter.no_criterion",
            "No filter criterion was given. Give at least one, for example --without-rule 10.",
        )
    if (wanted.run is None) != (not wanted.outcome and not wanted.reason):
        raise RecipeError(
            "cli.option_needs_another",
            "--run names the run whose ledger --outcome and --reason use. Give it together with one of them.",
        )
    _require_known("rule", (*wanted.without_rule, *wanted.only_rule), RULES_OF_ROWS)
    languages = (*WORDS, *SCRIPTS, LATIN, NO_LETTERS)
    _require_known("language", (*wanted.language, *wanted.without_language), languages)
    counts = {
        name: value for name, value in vars(wanted).items() if name.split("_")[0] in ("min", "max", "per")
    }
    require_positive(**counts)
    return Criteria(
        without_rules=wanted.without_rule,
        only_rules=wanted.only_rule,
        languages=wanted.language,
        without_languages=wanted.without_language,
        matching=_patterns("--matching", wanted.matching),
        not_matching=_patterns("--not-matching", wanted.not_matching),
        **counts,
    )


def _require_known(what: str, given: Sequence[object], known: Sequence[object]) -> None:
    for one in given:
        if one not in known:
            raise RecipeError(
                "filter.unknown_value",
                f"{one!r} is not a {what} to filter by. Choose from {', '.join(map(str, known))}.",
            )


def _patterns(option: str, given: Sequence[str]) -> list[BoundedPattern]:
    try:
        return [compile_pattern(text) for text in given]
    except re.error as fault:
        raise RecipeError(
            "filter.invalid_regex",
            f"{option} {fault.pattern!r} is not a valid regular expression: {fault}. Put a backslash before"
            " a literal ( or *.",
        ) from fault


def _rows_with_other_outcome(rows: SourceRows, wanted: RowFilter) -> dict[int, Message]:
    """Return the rows of which the ledger of the run that was named tells something else.

    RunFolderError if the run was prepared from another source.
    """
    from tutelage.data.dataset.ledger import rows_with_other_outcome

    if wanted.run is None:
        return {}
    run, source = RunFolder(wanted.run), rows.source
    prepared = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    if prepared.sha256 != source.sha256:
        raise RunFolderError(
            "run.other_source",
            f"{run.root} was prepared from {prepared.source} (SHA-256 {prepared.sha256[:12]}…), so its"
            f" ledger does not describe the rows of {source.name} ({source.sha256[:12]}…). Name the data"
            " that the run was prepared from.",
        )
    ledger = run.require(run.ledger, stage="prepare")
    return rows_with_other_outcome(ledger, run=run.name, outcomes=wanted.outcome, reasons=wanted.reason)


def _undesirable(rows: SourceRows) -> dict[int, Message]:
    """Return the rows whose label says that the answer is not wanted."""
    from tutelage.data.formats.kto_rows import is_desirable

    reason = Message("filter.undesirable", "its label marks the answer as undesirable")
    return {record.row: reason for record in rows.mapped_records() if is_desirable(record.value) is False}
