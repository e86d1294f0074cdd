"""`tutelage data improve`: answers or instructions that a language model writes anew."""

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
from tutelage.cli.commands.data.models import (
    ModelOptions,
    open_model,
)
from tutelage.cli.opening import reporting
from tutelage.cli.views import console
from tutelage.cli.views.made_rows import show_questions
from tutelage.stages.data.improve import Part, count_questions, improve
from tutelage.stages.settings import refuse_less_than_one


def improve_rows(
    options: SourceOptions,
    output: OutputOptions,
    model: ModelOptions,
    *,
    part: Annotated[
        Part,
        Parameter(help="What to rewrite: the last answer, or the instruction and its answer."),
    ] = "response",
    max_questions: Annotated[
        int | None,
        Parameter(
            help="Maximum number of requests; the remaining rows are kept unchanged.", show_default=False
        ),
    ] = None,
    ledger: Ledger = None,
) -> None:
    """Have a language model criticize and rewrite each row.

    Every row is written, changed or not.
    """
    refuse_outputs(output, output.output, ledger=ledger)
    refuse_less_than_one(max_questions=max_questions)
    asked = open_model(model)
    rows = open_rows(options, verb="improve", keeps_fields=False)
    if output.dry_run:
        questions = count_questions(rows, part, max_questions=max_questions)
        console.say(f"{asked.name} would be asked {questions:,} questions.")
        console.say("\nDry run: nothing was asked, nothing was written.")
        return
    with reporting() as reporter:
        improved = improve(rows, asked, reporter, part, max_questions=max_questions, seed=model.seed)
    show_questions(asked)
    write_files(output, {output.output: improved.values}, improved.settings)
    tell_reasons(output, ledger, rows, improved.left_out, what="unchanged", outcome="kept")
