"""`tutelage data improve`: let a language model rewrite answers or instructions."""

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
from tutelage.cli.commands.data.models import (
    ModelOptions,
    load_chat_model_of,
)
from tutelage.cli.sessions import reporting
from tutelage.cli.views import console
from tutelage.cli.views.generated_rows import show_requests
from tutelage.stages.data.improve import ImprovedField, count_requests, improve
from tutelage.stages.settings import require_positive


def improve_rows(
    options: SourceOptions,
    output: OutputOptions,
    model: ModelOptions,
    *,
    part: Annotated[
        ImprovedField,
        Parameter(help="What to rewrite: the last answer, or the instruction and its answer."),
    ] = "response",
    max_requests: Annotated[
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
    require_writable_outputs(output, output.output, ledger=ledger)
    require_positive(max_requests=max_requests)
    asked = load_chat_model_of(model)
    rows = read_rows_of(options, command="improve", keeps_fields=False)
    if output.dry_run:
        requests = count_requests(rows, part, max_requests=max_requests)
        console.print_message(f"{asked.name} would get {requests:,} requests.")
        console.print_message("\nDry run: no request was sent, nothing was written.")
        return
    with reporting() as reporter:
        improved = improve(rows, asked, reporter, part, max_requests=max_requests, seed=model.seed)
    show_requests(asked)
    write_files(output, {output.output: improved.values}, improved.settings)
    write_reasons(output, ledger, rows, improved.left_out, what="unchanged", outcome="kept")
