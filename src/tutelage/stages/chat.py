"""A conversation with the tuned model of a run, and with its base beside it."""

import queue
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.run.folder import VARIANTS, write_json_lines
from tutelage.stages.session import Session
from tutelage.stages.warnings import warn_of_emulated_bfloat16

if TYPE_CHECKING:
    from tutelage.data.rows.conversations import ChatMessage
    from tutelage.serve.answering_model import Served
    from tutelage.serve.generation_requests import Cancel, Engine, Piece


@dataclass
class Talk:
    """What was said with each model, as turns in order; each has its own memory."""

    served: "Served"
    engine: "Engine"
    most_tokens: int
    messages: "dict[str, list[ChatMessage]]" = field(
        default_factory=lambda: {variant: [] for variant in VARIANTS}
    )

    def ask(self, variant: str, text: str) -> "Generator[Piece]":
        """Begin to answer, and return what gives the answer as it comes; to close that early stops the answer.

        DataError where the prompt leaves no room for an answer.
        """
        from tutelage.data.rows.conversations import ChatMessage
        from tutelage.serve.generation_requests import GenerationRequest, Piece

        prompt = self.served.prompt_of_messages([*self.messages[variant], ChatMessage("user", text)])
        room = min(self.served.tokens_left_after(prompt, None), self.most_tokens)
        pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
        return _until_finished(pieces, self.engine.ask(GenerationRequest(variant, prompt, room), pieces.put))

    def remember(self, variant: str, text: str, answer: str) -> None:
        """Take what was asked and answered into what a model sees of the conversation."""
        from tutelage.data.rows.conversations import ChatMessage

        self.messages[variant] = [
            *self.messages[variant],
            ChatMessage("user", text),
            ChatMessage("assistant", answer),
        ]

    def forget(self) -> None:
        """Begin again with every model."""
        self.messages = {variant: [] for variant in VARIANTS}

    @property
    def is_empty(self) -> bool:
        return not any(self.messages.values())

    def save(self, path: Path) -> None:
        """Write what was said with each model that was asked as one JSON line, in the messages format."""
        write_json_lines(
            path,
            [
                {"model": variant, "messages": _messages(turns)}
                for variant, turns in self.messages.items()
                if turns
            ],
        )


@contextmanager
def talking(session: Session) -> "Iterator[Talk]":
    """Load the tuned model of a run, and give a conversation; the base model is loaded when it is asked."""
    session.inputs.locate()
    with session.reporter.waiting("Loading the model"):
        from tutelage.serve.answering_model import load_served
        from tutelage.serve.torch_engine import TorchEngine

        served = load_served(session.trained_on_same_base())
        engine = TorchEngine(served.load_variant, served.tokenizer, end_tokens=served.end_tokens, at_once=2)
        warn_of_emulated_bfloat16(session)
        engine.load("tuned")
    try:
        yield Talk(served, engine, session.recipe.evaluation.max_new_tokens)
    finally:
        engine.close()


def _until_finished(pieces: "queue.SimpleQueue[Piece]", cancel: "Cancel") -> "Generator[Piece]":
    try:
        while True:
            piece = pieces.get()
            yield piece
            if piece.finish_reason:
                return
    except BaseException:  # of who takes the pieces, too
        cancel()
        raise


def _messages(turns: "Sequence[ChatMessage]") -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]
