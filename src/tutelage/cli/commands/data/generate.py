"""`tutelage data generate`: let a language model write new rows like yours."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    OutputOptions,
    SourceOptions,
    read_rows_of,
    require_writable_outputs,
    write_files,
)
from tutelage.cli.commands.data.models import (
    ModelOptions,
    load_chat_model_of,
)
from tutelage.cli.sessions import reporting
from tutelage.cli.views import console
from tutelage.cli.views.generated_rows import show_rejected, show_requests
from tutelage.stages.data.generate import default_requests, find_seeds, generate, require_rows
from tutelage.stages.settings import require_positive


def generate_rows(
    options: SourceOptions,
    output: OutputOptions,
    model: ModelOptions,
    *,
    rows: Annotated[int, Parameter(help="Number of new rows.")],
    rows_per_request: Annotated[int, Parameter(help="Number of rows per request.")] = 4,
    max_requests: Annotated[
        int | None,
        Parameter(
            help="Maximum number of requests. Default: three times the minimum needed.", show_default=False
        ),
    ] = None,
) -> None:
    """Have a language model write new rows like yours.

    Near-repeats of existing rows are discarded.
    """
    require_writable_outputs(output, output.output)
    require_positive(rows=rows, rows_per_request=rows_per_request, max_requests=max_requests)
    asked = load_chat_model_of(model)
    opened = read_rows_of(options, command="generate", keeps_fields=False)
    seeds = find_seeds(opened)
    console.print_message(f"{len(seeds):,} of them can be shown as examples.")
    if output.dry_run:
        most = max_requests or default_requests(rows, rows_per_request)
        console.print_message(f"{asked.name} would get up to {most:,} requests, for up to {rows:,} rows.")
        console.print_message("\nDry run: no request was sent, nothing was written.")
        return
    with reporting() as reporter:
        made = generate(
            opened,
            seeds,
            asked,
            reporter,
            count=rows,
            rows_per_request=rows_per_request,
            max_requests=max_requests,
            seed=model.seed,
        )
    show_requests(asked)
    show_rejected(made)
    require_rows(made, asked)
    write_files(output, {output.output: made.values}, made.settings)
    if len(made.values) < rows:
        console.print_message(f"{rows:,} rows were requested. A larger --max-requests may give more.")
