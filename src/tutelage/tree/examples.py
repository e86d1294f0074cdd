"""One example as the model sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol


@dataclass(frozen=True)
class Example:
    """Token ids up to the end of the last supervised answer, of which `supervised` are predicted and scored.

    They end the example. In a conversation of several answers the first of them stand in `earlier_spans`, which says
    where each begins and where it has ended; `prompt_tokens` counts what stands before the last answer.

    A text without an answer has a `label`, a class by its number. It is read to its end: all its ids are the prompt,
    and the label is the one target. It counts as a token, so that an example always has one token more than a model
    reads.

    An answer may have a label too, 1 if it is desirable and 0 if it is not. Nothing predicts this label.
    """

    row: int
    ids: tuple[int, ...]
    prompt_tokens: int
    supervised: int
    earlier_spans: tuple[tuple[int, int], ...] = ()
    label: int | None = None

    def __post_init__(self) -> None:
        assert 0 < self.supervised < self.tokens, "an example needs a supervised token, and one before it"
        if self.predicts_label:
            assert (self.supervised, self.earlier_spans) == (1, ()), (
                "of a class the label alone is supervised"
            )
        else:
            assert self.label in (None, 0, 1), "an answer is desirable or not"
        assert all(0 < begin < end for begin, end in self.earlier_spans), "nothing predicts the first token"

    @property
    def predicts_label(self) -> bool:
        """Whether the label is the target, and not a judgement of an answer."""
        return self.label is not None and self.prompt_tokens == len(self.ids)

    @property
    def is_desirable(self) -> bool | None:
        """What a label says of the answer; None where there is none."""
        return None if self.label is None or self.predicts_label else self.label == 1

    @property
    def tokens(self) -> int:
        """How many tokens are read or predicted, a predicted label being one."""
        return len(self.ids) + self.predicts_label

    @property
    def read_ids(self) -> tuple[int, ...]:
        """The ids that a model reads: nothing follows the last token of an answer, which is a target only."""
        return self.ids if self.predicts_label else self.ids[:-1]

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_tokens]

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The ids of the last answer and its end of turn."""
        return self.ids[self.prompt_tokens :]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The supervised runs of the tokens, each as its begin and its end; a label stands behind the ids."""
        return supervised_spans(self.tokens, self.supervised, self.earlier_spans)

    @property
    def target_ids(self) -> tuple[int, ...]:
        """What is predicted: the ids of the spans in their order, or the label."""
        if self.label is not None and self.predicts_label:
            return (self.label,)
        return tuple(chain.from_iterable(self.ids[begin:end] for begin, end in self.spans))

    @property
    def examples(self) -> tuple["Example", ...]:
        """The examples of its row: this one alone."""
        return (self,)

    def with_response_supervised(self) -> "Example":
        """Return the same ids with the last answer and its end of turn supervised, whatever training supervises."""
        return replace(self, supervised=len(self.response_ids), earlier_spans=())

    def without_label(self) -> "Example":
        """Return the text with its own tokens as targets, for a model that still predicts tokens."""
        if not self.predicts_label:
            return self
        ids = self.ids if len(self.ids) > 1 else self.ids * 2  # one token needs another that it predicts
        return Example(self.row, ids, prompt_tokens=1, supervised=len(ids) - 1)


def labelled_example(row: int, ids: Sequence[int], label: int) -> Example:
    """Return the example of a text, given by its ids, and its class."""
    return Example(row, tuple(ids), prompt_tokens=len(ids), supervised=1, label=label)


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


class Unit(Protocol):
    """What a training counts as one: a row, whether it is one example or several that are never cut apart."""

    @property
    def row(self) -> int: ...
    @property
    def supervised(self) -> int: ...
    @property
    def examples(self) -> tuple[Example, ...]: ...


def examples_of(units: Sequence[Unit]) -> list[Example]:
    """Return the examples of some units in their order, those of a pair side by side."""
    return [example for unit in units for example in unit.examples]


@dataclass(frozen=True)
class PreparedRow:
    """An example with the text that it was made from, which is a line of data/train.jsonl or one of its siblings."""

    prompt: str
    response: str
    example: Example
    messages: tuple[
        Mapping[str, str], ...
    ] = ()  # before the response, as the row has them: see `message_records`

    def to_record(self) -> dict[str, Any]:
        return {
            "row": self.example.row,
            "prompt": self.prompt,
            "response": self.response,
            **({"messages": list(self.messages)} if self.messages else {}),
            "tokens": self.example.tokens,
            "supervised": self.example.supervised,
            **({} if self.example.is_desirable is None else {"label": self.example.is_desirable}),
        }
