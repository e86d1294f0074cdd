"""A server on the loopback with a run behind it, or with an application of a test's own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from support.sessions import trained_in

from tutelage.serve.app import make_app
from tutelage.serve.engines import load_engine
from tutelage.serve.server import configured, listening


@dataclass(frozen=True)
class Running:
    """A server that listens on the loopback, with what it is made of."""

    url: str
    engine: Any
    served: Any


@contextmanager
def serving(run, *, key=None, at_once=4, engine="torch", context=2048):
    made = load_engine(engine, trained_in(run), run.export, context=context, at_once=at_once)
    try:
        with answering(make_app(made.engine, made.served, host="127.0.0.1", key=key)) as url:
            yield Running(url, made.engine, made.served)
    finally:
        made.engine.close()


@contextmanager
def answering(app: Any) -> Iterator[str]:
    """Let an application answer on the loopback; give its base URL."""
    with listening("127.0.0.1", 0) as opened:
        server = uvicorn.Server(configured(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()
