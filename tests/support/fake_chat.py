"""A language model of a test: its replies are a function, and what it was asked is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tutelage.data.synthetic.cached_model import RememberingModel
from tutelage.llm.language_models import ChatModel, ModelRequest
from tutelage.llm.server_responses import Reply


@dataclass
class FakeChat:
    """Replies to questions, counts how often it was opened, and keeps what it was asked."""

    reply: Callable[[ModelRequest], str]
    questions: list[ModelRequest] = field(default_factory=list)
    opened: int = 0

    def __call__(self, question: ModelRequest) -> Reply:
        self.questions.append(question)
        return Reply(self.reply(question))


def remembering(chat: FakeChat, cache: Path) -> RememberingModel:
    """Return the model as the data room asks it."""
    name = "openai:fake@http://127.0.0.1:1/v1"
    return RememberingModel(name, lambda: ChatModel(name, chat), cache=cache, temperature=0, max_tokens=99)
