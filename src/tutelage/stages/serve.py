"""The base and the tuned model of a run behind OpenAI's interface, until somebody stops it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tutelage.errors import Interrupted, RecipeError
from tutelage.stages.next_steps import own_question
from tutelage.stages.session import Session
from tutelage.stages.settings import require_positive
from tutelage.stages.warnings import warn_of_emulated_bfloat16

if TYPE_CHECKING:
    from tutelage.serve.engines import EngineName

KEY_VARIABLE = "TUTELAGE_API_KEY"
MOST_TOKENS = 2048
ANY_QUESTION = "What can you do?"  # where no row of the user's own is short enough to be shown
SERVER = ("tutelage.serve.app", "tutelage.serve.engines", "tutelage.serve.server")


@dataclass(frozen=True)
class Serving:
    """A server that answers from now on: `engine` is a sentence on what answers, `question` something to ask it."""

    host: str
    port: int
    has_key: bool
    engine: str
    question: str


def serve(
    session: Session,
    started: Callable[[Serving], None],
    *,
    host: str,
    port: int,
    key: str | None = None,
    engine: "EngineName" = "auto",
    context: int = MOST_TOKENS,
    at_once: int = 8,
) -> bool:
    """Load the models of a run and answer requests; return whether it was interrupted, once all is closed.

    Port 0 takes a free one. `context` counts the tokens of a prompt with its answer, `at_once` answers side by side.
    """
    require_positive(at_once=at_once, context=context)
    session.inputs.locate(beside=SERVER)
    from tutelage.serve.server import listening, serve_until_stopped

    warn_of_emulated_bfloat16(session)
    with listening(host, port) as listener:
        with session.reporter.waiting("Loading the model"):
            from tutelage.serve.app import make_app
            from tutelage.serve.engines import load_engine

            trained = session.trained_on_same_base()
            ready = load_engine(engine, trained, session.run.export, context=context, at_once=at_once)
        app = make_app(ready.engine, ready.served, host=host, key=key)
        question = own_question(session)
        serving = Serving(
            host=host,
            port=listener.getsockname()[1],
            has_key=key is not None,
            engine=ready.description,
            question=question.as_message if question else ANY_QUESTION,
        )
        try:
            serve_until_stopped(app, listener, lambda: started(serving))
        except Interrupted:
            return True
        finally:
            ready.engine.close()
    return False


def read_key(host: str) -> str | None:
    """Return the key that requests have to show; RecipeError where it cannot be shown, or others could ask without."""
    from tutelage.serve.auth import what_no_header_carries
    from tutelage.system.fetching import is_loopback

    key = os.environ.get(KEY_VARIABLE) or None
    if key is not None and (wrong := what_no_header_carries(key)):
        raise RecipeError(
            "serve.key_invalid",
            f"{KEY_VARIABLE} {wrong}, so no request could send it. Set it to ASCII letters, digits and"
            " punctuation.",
        )
    if key is None and not is_loopback(host):
        raise RecipeError(
            "serve.key_required",
            f"Anyone who can reach {host or 'this machine'} can use this server. Set {KEY_VARIABLE} to a"
            " secret key, or leave --host out to serve only this machine.",
        )
    return key
