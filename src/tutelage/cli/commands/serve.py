"""`tutelage serve`: the base and the tuned model of a run behind OpenAI's interface."""

import os
from typing import Annotated, Literal

from cyclopts import Parameter

from tutelage.cli.opening import opened
from tutelage.cli.options import Options, open_earlier_run
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.server import show_server
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import Interrupted, RecipeError
from tutelage.stages.next_steps import own_question
from tutelage.stages.settings import refuse_classifier, refuse_idle_settings, refuse_untrained_settings
from tutelage.stages.warnings import warn_of_emulated_bfloat16

KEY_VARIABLE = "TUTELAGE_API_KEY"
MOST_TOKENS = 2048
ANY_QUESTION = "What can you do?"  # where no row of the user's own is short enough to be shown


def serve(
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    host: Annotated[
        str, Parameter(help="The address to listen on; the default is reached from this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port; 0 takes a free one and prints it.")] = 8000,
    at_once: Annotated[int, Parameter(help="So many answers grow side by side; others wait.")] = 8,
    engine: Annotated[
        Literal["auto", "torch", "llama.cpp"],
        Parameter(
            help="What answers for the tuned model: llama.cpp from the run's verified GGUF export, which is faster, or"
            " torch from the run's own weights. `auto` takes llama.cpp where there is such an export."
        ),
    ] = "auto",
    context: Annotated[
        int, Parameter(help="At most so many tokens for a prompt and its answer; llama.cpp sets them aside.")
    ] = MOST_TOKENS,
) -> None:
    """Answer programs that speak OpenAI's interface, with the tuned model of a run and its base."""
    run, loaded = open_earlier_run(options)
    with opened(run, loaded) as session:
        refuse_untrained_settings(session)
        refuse_classifier(session)
        refuse_idle_settings(session, verb="serve", honoured=PLACE_OF_WORK)
        if options.overwrite:
            raise RecipeError(
                "cli.option_not_supported",
                "`tutelage serve` writes nothing, so there is nothing to --overwrite. Leave it out.",
            )
        for name, value in (("at-once", at_once), ("context", context)):
            if value < 1:
                raise RecipeError(
                    "cli.value_out_of_range", f"--{name} is {value}, but it has to be 1 or more."
                )
        key = _open_key(host)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        source = session.inputs.locate(
            beside=("tutelage.serve.app", "tutelage.serve.engines", "tutelage.serve.server")
        )
        from tutelage.serve.server import listening, serve_until_stopped

        warn_of_emulated_bfloat16(session)
        with listening(host, port) as listener:
            with console.waiting("Loading the model"):
                from tutelage.serve.app import make_app
                from tutelage.serve.engines import open_engine

                ready = open_engine(engine, run, session.recipe, source, context=context, at_once=at_once)
            app = make_app(ready.engine, ready.served, host=host, key=key)
            port, question = listener.getsockname()[1], own_question(session)
            asked = question.as_message if question else ANY_QUESTION
            try:
                serve_until_stopped(
                    app,
                    listener,
                    lambda: show_server(run, host, port, ready.told, has_key=key is not None, asked=asked),
                )
            except Interrupted:
                console.say("Stopped.")
            finally:
                ready.engine.close()


def _open_key(host: str) -> str | None:
    """Return the key that requests have to show; RecipeError where it cannot be shown, or others could ask without."""
    from tutelage.serve.guard import what_no_header_carries
    from tutelage.system.fetching import is_loopback

    key = os.environ.get(KEY_VARIABLE) or None
    if key is not None and (wrong := what_no_header_carries(key)):
        raise RecipeError(
            "serve.key_invalid",
            f"{KEY_VARIABLE} {wrong}, so no request could show it. Set it to letters, digits and signs of ASCII.",
        )
    if key is None and not is_loopback(host):
        raise RecipeError(
            "serve.key_required",
            f"Everybody who reaches {host or 'this machine'} could ask. Set {KEY_VARIABLE} to a key that only those"
            " who may ask know, or leave --host out: then only this machine is answered.",
        )
    return key
