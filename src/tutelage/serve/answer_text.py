"""Decode an answer incrementally: only whole characters, and nothing from a stop string on."""

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\ufffd"  # written by decoders for incomplete characters


class AnswerText:
    """Turns the ids of an answer into text that can be sent immediately and never changes."""

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._sent = ""
        self.is_stopped = False

    @property
    def sent(self) -> str:
        return self._sent

    def add(self, token: int) -> str:
        """Return the text to send now; empty if the next token could still change it."""
        self._ids.append(token)
        text = self._text()
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.is_stopped = True
            return self._send(text[: min(found)])
        return self._send(text.rstrip(UNFINISHED)[: len(text) - self._held_back(text)])

    def finish(self) -> str:
        """Return the text that was held back, at the end of the answer."""
        return "" if self.is_stopped else self._send(self._text())

    def _text(self) -> str:
        return self._tokenizer.decode(self._ids, skip_special_tokens=True)

    def _held_back(self, text: str) -> int:
        """Return how many characters at the end could begin a stop string."""
        longest = 0
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:length]):
                    longest = length
                    break
        return longest

    def _send(self, text: str) -> str:
        if not text.startswith(self._sent):
            return ""  # the decoder may still change a space
        new = text[len(self._sent) :]
        self._sent = text if new else self._sent
        return new
