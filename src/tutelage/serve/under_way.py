"""Track running answers, so that a stopping server can end them with a message."""

import threading

from tutelage.codes import Message
from tutelage.serve.generation_requests import Cancel, Engine, GenerationRequest, OnPiece, Piece


class UnderWay:
    """Passes requests to an engine, and remembers who is waiting for an answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Lock()
        self._waiting: dict[int, OnPiece] = {}
        self._ended: Message | None = None

    def ask(self, question: GenerationRequest, on_piece: OnPiece) -> Cancel:
        """Start to answer; return a function that stops the answer. After `end`, requests are rejected."""
        with self._changed:
            ended = self._ended
            if ended is None:
                self._waiting[id(on_piece)] = on_piece
        if ended is not None:
            on_piece(_last(ended))
            return lambda: None
        cancel = self._engine.ask(question, on_piece)

        def leave() -> None:
            with self._changed:
                self._waiting.pop(id(on_piece), None)
            cancel()

        return leave

    def end(self, reason: Message) -> None:
        """End all waiting answers with a reason."""
        with self._changed:
            self._ended = reason
            waiting = [*self._waiting.values()]
        for on_piece in waiting:
            on_piece(_last(reason))


def _last(reason: Message) -> Piece:
    return Piece("", 0, None, "error", reason)
