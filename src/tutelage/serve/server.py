"""Listens until it is told to stop: the socket, the thread of the server, and an orderly end."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from tutelage.errors import RecipeError

SECONDS_TO_FINISH = 5  # for answers under way when the server is stopped
SECONDS_IDLE = 30


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the socket before a model is loaded, so that a port that is taken is told at once; 0 takes a free one."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as fault:
        raise RecipeError(
            f"{host} cannot be listened on at port {port}: {_reason(fault)}."
            " Choose another --port (0 takes a free one) or --host."
        ) from fault
    with opened:
        yield opened


def _reason(fault: Exception) -> str:
    number = getattr(fault, "errno", None)
    return os.strerror(number) if number and number > 0 else str(fault)


def serve_until_stopped(app: Starlette, opened: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until this thread is interrupted; the interruption comes out when the server has ended.

    The server runs in a thread of its own, since in the main one it would hear the signals in our place.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # it would hold nothing that was asked, but say who asks how often
        server_header=False,
        timeout_keep_alive=SECONDS_IDLE,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, name="server", daemon=True)
    thread.start()
    try:
        started()
        while thread.is_alive():
            thread.join(timeout=1)
    finally:
        server.should_exit = True
        thread.join(timeout=SECONDS_TO_FINISH + 1)
