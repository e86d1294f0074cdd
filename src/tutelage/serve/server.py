"""Run the server until it is stopped: socket, thread and orderly shutdown."""

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from tutelage.codes import Message
from tutelage.errors import RecipeError
from tutelage.system.platforms import most_open_files

SECONDS_TO_FINISH = 5  # time for running answers when the server is stopped
SECONDS_TO_SAY_SO = 2  # time to report the shutdown to the others
SECONDS_IDLE = 30
SECONDS_TO_BEGIN = 10  # until the header of the first request has arrived
SECONDS_WHEN_CROWDED = 0.1


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the socket before the model is loaded, so that a taken port is reported at once; 0 chooses a free
    one.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as fault:
        raise RecipeError(
            "serve.cannot_listen",
            f"Cannot listen on {host} at port {port}: {_reason(fault)}. Choose another --port (0 picks a"
            " free one) or --host.",
        ) from fault
    with opened:
        yield opened


def _reason(fault: Exception) -> str:
    number = getattr(fault, "errno", None)
    return os.strerror(number) if number and number > 0 else str(fault)


def serve_until_stopped(app: Starlette, opened: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until this thread is interrupted; the exception is raised after shutdown.

    The server runs in its own thread, because in the main thread it would handle the signals instead of us.
    """
    server = uvicorn.Server(configured(app))
    # Not a join: a thread whose join is interrupted counts as finished, although it is still running.
    ended = threading.Event()

    def serve() -> None:
        try:
            server.run(sockets=[opened])
        finally:
            ended.set()

    threading.Thread(target=serve, name="server", daemon=True).start()
    try:
        started()
        while not ended.wait(timeout=1):
            pass
    finally:
        server.should_exit = True
        if not ended.wait(timeout=SECONDS_TO_FINISH):
            told = (
                "The server stopped before the answer was complete. Send the request again when the server"
                " runs."
            )
            app.state.under_way.end(Message("serve.stopped", told))
            ended.wait(timeout=SECONDS_TO_SAY_SO + 1)


def configured(app: Starlette) -> uvicorn.Config:
    """Return a configuration that drops silent connections, which would otherwise use up all connections."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # would not contain prompts, but show who asks how often
        server_header=False,
        timeout_keep_alive=SECONDS_IDLE,
        timeout_graceful_shutdown=SECONDS_TO_FINISH + SECONDS_TO_SAY_SO,
    )
    config.load()
    config.http_protocol_class = _leaving_the_silent(config.http_protocol_class)
    return config


def _leaving_the_silent(protocol: Any) -> Any:
    """Return a protocol factory that closes connections whose request header does not arrive in time."""
    most = most_open_files() / 2  # files and connections share the limit

    def make(**named: Any) -> Any:
        made = protocol(**named)
        is_crowded = len(named["server_state"].connections) >= most
        seconds = SECONDS_WHEN_CROWDED if is_crowded else SECONDS_TO_BEGIN
        asyncio.get_running_loop().call_later(seconds, _leave_if_silent, weakref.ref(made))
        return made

    return make


def _leave_if_silent(reference: Any) -> None:
    made = reference()  # None if the connection has ended; a timer must not keep it alive
    if made is not None and made.cycle is None and made.transport is not None:  # no request has started
        made.transport.close()
