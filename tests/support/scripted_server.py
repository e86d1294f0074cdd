"""A server on the loopback that answers chat questions by a script, faults included."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What one request gets; `cut` closes the connection in the middle of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


# Gives the answer to the body of a request; None hangs until the test ends.
Script = Callable[[dict[str, Any]], Answer | None]


@dataclass
class ScriptedServer:
    """Where it listens, and what it was asked: path, headers and body of each request."""

    address: str
    requests: list[tuple[str, dict[str, str], dict[str, Any]]]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.requests]


@contextmanager
def scripted_server(script: Script) -> Iterator[ScriptedServer]:
    """Serve while the block runs."""
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = script(body)
            if answer is None:
                is_over.wait(30)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body) + (100 if answer.cut else 0)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = self.close_connection or answer.cut

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ScriptedServer(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str, *, model: str = "judge") -> Answer:
    """Answer as an OpenAI-compatible server does."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": model, "choices": choices}
    return Answer(body=json.dumps(body).encode())


def ollama_reply(text: str, *, model: str = "judge") -> Answer:
    """Answer as Ollama's /api/chat does."""
    body = {"model": model, "message": {"role": "assistant", "content": text}, "done": True}
    return Answer(body=json.dumps(body).encode())


def one_at_a_time(*answers: Answer | None) -> Script:
    """Give the answers one after the other, the last of them ever after."""
    left = list(answers)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]
