"""One example as the model sees it."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Example:
    """Token ids of prompt, response and end of turn; the last `supervised` of them are predicted and scored."""

    row: int
    ids: tuple[int, ...]
    prompt_tokens: int
    supervised: int

    def __post_init__(self) -> None:
        assert 0 < self.supervised < len(self.ids), "an example needs a supervised token, and one before it"

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_tokens]

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The ids of the response and its end of turn."""
        return self.ids[self.prompt_tokens :]

    def with_response_supervised(self) -> "Example":
        """Return the same ids with the response and its end of turn supervised, whatever training supervises."""
        return replace(self, supervised=len(self.response_ids))


@dataclass(frozen=True)
class PreparedRow:
    """A line of data/train.jsonl and its siblings: an example with the text that it was made from."""

    prompt: str
    response: str
    example: Example

    def to_record(self) -> dict[str, Any]:
        return {
            "row": self.example.row,
            "prompt": self.prompt,
            "response": self.response,
            "tokens": len(self.example.ids),
            "supervised": self.example.supervised,
            "prompt_tokens": self.example.prompt_tokens,
            "ids": list(self.example.ids),
        }

    @staticmethod
    def from_record(record: dict[str, Any]) -> "PreparedRow":
        """Return the row of a record; ValueError where its tokens are none, or too few for its counts."""
        row, ids = record["row"], tuple(record["ids"])
        if not all(type(token) is int and token >= 0 for token in ids):
            raise ValueError(f"row {row} has something else than whole numbers from 0 on among its ids")
        if not (0 < record["supervised"] < len(ids) and 0 <= record["prompt_tokens"] < len(ids)):
            raise ValueError(f"row {row} has fewer ids than its counts of tokens say")
        example = Example(row, ids, record["prompt_tokens"], record["supervised"])
        return PreparedRow(record["prompt"], record["response"], example)
