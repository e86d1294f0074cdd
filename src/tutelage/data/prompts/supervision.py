"""Mark which ids of an encoded conversation are supervised."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.config.recipe import TrainOn
from tutelage.tree.examples import Example


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """The ids before an answer, and its own ids including the end of turn."""

    before: list[int]
    ids: list[int]
    is_supervised: bool


def example_of(row: int, answers: Sequence[EncodedAnswer], train_on: TrainOn) -> Example:
    """Join the answers of a conversation; a masked answer stays masked under every `train_on`."""
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    masked: list[tuple[int, int]] = []
    for answer in answers:
        ids += answer.before
        begin = len(ids)
        ids += answer.ids
        (spans if answer.is_supervised else masked).append((begin, len(ids)))
    trained = spans if train_on == "assistant" else spans[-1:]
    supervised = _all_but(masked, len(ids)) if train_on == "all" else trained
    return Example(
        row,
        tuple(ids),
        prompt_tokens=spans[-1][0],
        supervised=sum(end - begin for begin, end in supervised),
        earlier_spans=tuple(supervised[:-1]),
    )


def _all_but(masked: Sequence[tuple[int, int]], tokens: int) -> list[tuple[int, int]]:
    """Return the spans of ids outside the masked answers, without the first id, which nothing predicts."""
    begins = [1, *(end for _, end in masked)]
    ends = [*(begin for begin, _ in masked), tokens]
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]
