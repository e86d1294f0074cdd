"""`tutelage serve`: serve the base and the tuned model of a run over an OpenAI-compatible API."""

from typing import Annotated, Literal

from cyclopts import Parameter

from tutelage.cli.options import DryRunOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.server import show_server
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.stages.serve import MOST_TOKENS, read_key
from tutelage.stages.serve import serve as serve_run
from tutelage.stages.settings import (
    check_trained_settings,
    check_unused_settings,
    require_answers,
    require_positive,
)


def serve(
    options: DryRunOptions = DryRunOptions(),  # noqa: B008 - frozen
    *,
    host: Annotated[
        str, Parameter(help="Address to listen on. The default accepts connections from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port; 0 picks a free one and prints it.")] = 8000,
    at_once: Annotated[int, Parameter(help="Maximum number of answers generated at the same time.")] = 8,
    engine: Annotated[
        Literal["auto", "torch", "llama.cpp"],
        Parameter(
            help="Backend for the fine-tuned model: llama.cpp (faster; needs a verified GGUF export) or torch."
            " `auto` uses llama.cpp if there is such an export."
        ),
    ] = "auto",
    context: Annotated[
        int,
        Parameter(
            help="Maximum number of tokens of prompt and answer together; llama.cpp reserves memory for them."
        ),
    ] = MOST_TOKENS,
) -> None:
    """Serve the model over an OpenAI-compatible API.

    The fine-tuned model and its base are served side by side.
    """
    with earlier_session(options) as session:
        check_trained_settings(session)
        require_answers(session)
        check_unused_settings(session, command="serve", honoured=PLACE_OF_WORK)
        require_positive(at_once=at_once, context=context)
        key = read_key(host)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        is_stopped = serve_run(
            session,
            lambda serving: show_server(serving, session.run),
            host=host,
            port=port,
            key=key,
            engine=engine,
            context=context,
            at_once=at_once,
        )
        if is_stopped:
            console.print_message("Stopped.")
