"""Represent one example the way the model sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol


@dataclass(frozen=True)
class Example:
    """The token ids of an example, up to the end of its last supervised answer.

    `supervised` tokens are predicted and scored, and the example ends with them. In a conversation with several
    supervised answers, `earlier_spans` holds the begin and end of every answer but the last, and
    `prompt_tokens` counts the tokens before the last answer.

    A text to classify has no answer but a `label`, the number of its class. All its ids are prompt, and the
    label is the only target. The label counts as a token, so an example always has one more token than the
    model reads.

    An answer can also have a label: 1 if it is desirable, 0 if not. This label is never predicted.
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
        """Whether the label is the target, rather than a rating of the answer."""
        return self.label is not None and self.prompt_tokens == len(self.ids)

    @property
    def is_desirable(self) -> bool | None:
        """Whether the answer is desirable; None if it is not rated."""
        return None if self.label is None or self.predicts_label else self.label == 1

    @property
    def tokens(self) -> int:
        """Number of tokens read or predicted; a predicted label counts as one."""
        return len(self.ids) + self.predicts_label

    @property
    def read_ids(self) -> tuple[int, ...]:
        """Token ids that the model reads. The last token of an answer is only a target, so it is left out."""
        return self.ids if self.predicts_label else self.ids[:-1]

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_tokens]

    @property
    def response_ids(self) -> tuple[int, ...]:
        """Token ids of the last answer, including its end-of-turn token."""
        return self.ids[self.prompt_tokens :]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The (begin, end) of each supervised span; a predicted label comes after the ids."""
        return supervised_spans(self.tokens, self.supervised, self.earlier_spans)

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The targets: the ids of all spans in order, or the label."""
        if self.label is not None and self.predicts_label:
            return (self.label,)
        return tuple(chain.from_iterable(self.ids[begin:end] for begin, end in self.spans))

    @property
    def examples(self) -> tuple["Example", ...]:
        """The examples of this unit, which is just this one."""
        return (self,)

    def with_response_supervised(self) -> "Example":
        """Return a copy that supervises only the last answer and its end-of-turn token."""
        return replace(self, supervised=len(self.response_ids), earlier_spans=())

    def without_label(self) -> "Example":
        """Return a copy without the label whose own tokens are the targets, for a model that still predicts
        tokens.
        """
        if not self.predicts_label:
            return self
        ids = self.ids if len(self.ids) > 1 else self.ids * 2  # a single token needs one before it
        return Example(self.row, ids, prompt_tokens=1, supervised=len(ids) - 1)


def labelled_example(row: int, ids: Sequence[int], label: int) -> Example:
    """Return an example for a text, given as token ids, and its class."""
    return Example(row, tuple(ids), prompt_tokens=len(ids), supervised=1, label=label)


def supervised_spans(
    tokens: int, supervised: int, earlier: Sequence[Sequence[int]]
) -> tuple[tuple[int, int], ...]:
    """Return all supervised spans: `earlier`, then the last one, which holds the remaining supervised tokens."""
    rest = supervised - sum(end - begin for begin, end in earlier)
    return (*((begin, end) for begin, end in earlier), (tokens - rest, tokens))


@dataclass(frozen=True)
class Pair:
    """A preferred and a rejected answer to the same prompt.

    `reference` holds the log-probability (nats) of each answer under the reference model. The two answers
    always stay in the same micro-batch, because the loss compares them.
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
    """A unit of training: one row, which may have several examples that must stay together."""

    @property
    def row(self) -> int: ...
    @property
    def supervised(self) -> int: ...
    @property
    def examples(self) -> tuple[Example, ...]: ...


def examples_of(units: Sequence[Unit]) -> list[Example]:
    """Return the examples of all units in order; the examples of a pair stay next to each other."""
    return [example for unit in units for example in unit.examples]


@dataclass(frozen=True)
class PreparedRow:
    """An example together with its source text: one line of data/train.jsonl or of another split."""

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
