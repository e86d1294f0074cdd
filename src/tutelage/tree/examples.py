"""One example as the model sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Example:
    """Token ids up to the end of the last supervised answer, of which `supervised` are predicted and scored.

    They end the example. In a conversation of several answers the first of them stand in `earlier_spans`, which says
    where each begins and where it has ended; `prompt_tokens` counts what stands before the last answer.
    """

    row: int
    ids: tuple[int, ...]
    prompt_tokens: int
    supervised: int
    earlier_spans: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        assert 0 < self.supervised < len(self.ids), "an example needs a supervised token, and one before it"
        assert all(0 < begin < end for begin, end in self.earlier_spans), "nothing predicts the first token"

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_tokens]

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The ids of the last answer and its end of turn."""
        return self.ids[self.prompt_tokens :]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The supervised runs of the ids, each as its begin and its end."""
        return supervised_spans(len(self.ids), self.supervised, self.earlier_spans)

    @property
    def examples(self) -> tuple["Example", ...]:
        """The examples of its row: this one alone."""
        return (self,)

    def with_response_supervised(self) -> "Example":
        """Return the same ids with the last answer and its end of turn supervised, whatever training supervises."""
        return replace(self, supervised=len(self.response_ids), earlier_spans=())


def supervised_spans(
    tokens: int, supervised: int, earlier: Sequence[Sequence[int]]
) -> tuple[tuple[int, int], ...]:
    """Return all supervised runs: the earlier ones, and the last, which ends with the tokens and has all the rest."""
    rest = supervised - sum(end - begin for begin, end in earlier)
    return (*((begin, end) for begin, end in earlier), (tokens - rest, tokens))


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, the first of them preferred; `reference` are their log-probabilities (nats) before.

    Whatever cuts a step into parts leaves the two together, for the loss is one of both.
    """

    chosen: Example
    rejected: Example
    reference: tuple[float, float] = (0.0, 0.0)

    @property
    def row(self) -> int:
        return self.chosen.row

    @property
    def supervised(self) -> int:
        return self.chosen.supervised + self.rejected.supervised

    @property
    def examples(self) -> tuple[Example, ...]:
        return (self.chosen, self.rejected)


# What a training counts as one: a row, whether it is one example or a pair of them.
Unit = Example | Pair


def examples_of(units: Sequence[Unit]) -> list[Example]:
    """Return the examples of some units in their order, those of a pair side by side."""
    return [example for unit in units for example in unit.examples]


@dataclass(frozen=True)
class PreparedRow:
    """An example with the text that it was made from, which is a line of data/train.jsonl or one of its siblings."""

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
        }
