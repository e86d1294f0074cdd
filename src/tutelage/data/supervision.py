"""Which ids of an encoded conversation are supervised."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.data.examples import Example
from tutelage.recipe import LossOn


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """The ids before an answer, and its own with the end of turn."""

    before: list[int]
    ids: list[int]
    is_supervised: bool


def example_of(row: int, answers: Sequence[EncodedAnswer], loss_on: LossOn) -> Example:
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for answer in answers:
        ids += answer.before
        begin = len(ids)
        ids += answer.ids
        if answer.is_supervised:
            spans.append((begin, len(ids)))
    # Nothing predicts the first token of all, so "everything" begins with the second.
    supervised = {
        "response": spans,
        "last_response": spans[-1:],
        "everything": [(1, len(ids))],
    }[loss_on]
    return Example(
        row,
        tuple(ids),
        prompt_tokens=spans[-1][0],
        supervised=sum(end - begin for begin, end in supervised),
        earlier_spans=tuple(supervised[:-1]),
    )
