"""`tutelage data generate`: new rows that a language model makes after some of yours."""

from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    OpenedRows,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_taken,
    write_files,
)
from tutelage.cli.commands.data.models import (
    ModelOptions,
    refuse_less_than_one,
    remembering_model,
    show_questions,
)
from tutelage.cli.views import console
from tutelage.errors import DataError

QUESTIONS_PER_NEED = 3  # so many times the fewest that could do


def generate_rows(
    options: SourceOptions,
    output: OutputOptions,
    model: ModelOptions,
    *,
    rows: Annotated[int, Parameter(help="How many new rows are wanted.")],
    rows_per_question: Annotated[int, Parameter(help="How many rows one question asks for.")] = 4,
    max_questions: Annotated[
        int | None,
        Parameter(
            help="Most questions to put. Default: three times the fewest that could do.", show_default=False
        ),
    ] = None,
) -> None:
    """Ask a language model for new rows like those of DATA; what only repeats a row that is there is not taken."""
    from tutelage.data.synthetic.inventing import invent

    refuse_taken(output, output.output)
    refuse_less_than_one(rows=rows, rows_per_question=rows_per_question, max_questions=max_questions)
    asked = remembering_model(model)
    opened = open_rows(options, verb="generate", takes_kto=False)
    seeds = _seeds(opened)
    most = max_questions or QUESTIONS_PER_NEED * -(-rows // rows_per_question)
    if output.dry_run:
        console.say(f"{asked.name} would be asked up to {most:,} questions, for up to {rows:,} rows.")
        console.say("\nDry run: nothing was asked, nothing was written.")
        return
    with console.progress("Rows taken", rows) as advance:
        made = invent(
            seeds,
            asked,
            rows=rows,
            rows_per_question=rows_per_question,
            max_questions=most,
            seed=model.seed,
            progress=lambda taken: advance(taken, ""),
        )
    show_questions(asked)
    if made.refused:
        counted = [
            [f"{count:,}", reason] for reason, count in sorted(made.refused.items(), key=lambda one: -one[1])
        ]
        console.table(["not taken", "reason"], counted, numeric=(0,))
    if not made.rows:
        raise DataError(
            "synthetic.no_rows_accepted",
            f"No reply of {asked.name} held a row that can be taken; the reasons stand above. Try a larger model, or a"
            " larger --max-tokens.",
        )
    settings = opened.settings.model_copy(update={"map": {}, "format": None})
    write_files(output, {output.output: _values(made.rows, opened, asked.name)}, settings)
    if len(made.rows) < rows:
        console.say(f"Wanted were {rows:,}. More questions, by --max-questions, may give more.")


def _seeds(opened: OpenedRows) -> list[Any]:
    """Return the rows that a model can be shown: one question and its answer each, and nothing that a check drops."""
    from tutelage.data.quality.checks import check_rows

    kept = [
        one.row for one in check_rows(opened.conversations.rows, opened.settings) if one.outcome != "dropped"
    ]
    seeds = [row for row in kept if [turn.role for turn in row.turns] == ["user", "assistant"]]
    if not seeds:
        raise DataError(
            "synthetic.no_seed_examples",
            f"{opened.source.name} has no row of one question and its answer, and only such can be examples.",
        )
    console.say(f"{len(seeds):,} of them can be shown as examples.")
    return seeds


def _values(made: list[Any], opened: OpenedRows, name: str) -> list[dict[str, Any]]:
    from tutelage.data.rows.records import MADE_BY, MADE_FROM
    from tutelage.data.sources.conversion import to_format
    from tutelage.data.sources.writing import source_row

    numbers = {record.row: source_row(record) for record in opened.source.records}
    return [
        {**to_format(one.row, "alpaca"), MADE_FROM: [numbers[row] for row in one.made_from], MADE_BY: name}
        for one in made
    ]
