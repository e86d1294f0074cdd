"""Labelled answers as ids of the tiny models, and the same prompts with mismatched answers."""

from dataclasses import replace

from support.tiny_models import END

from tutelage.objectives.kto.loss import Judged
from tutelage.tree.examples import Example

# Prompt, answer, and whether it is desirable. Prompts stand several times, and answers begin alike.
TOKENS = (
    ((5, 6, 7, 8), (20, 21, END), True),
    ((5, 6, 7, 8), (20, 30, 31, 32, END), False),
    ((5, 6, 9), (40, END), True),
    ((5, 6, 9), (41, 42, 43, END), False),
    ((60, 61), (62, 63, 64, 65, 66, END), True),
    ((60, 61), (62, 63, END), True),
    ((70, 71, 72), (20, 22, 23, END), True),
    ((5, 80), (50, END), False),
)
# Whose answer is mismatched to each row.
MISMATCHED = (2, 3, 4, 5, 6, 7, 0, 1)


def tiny_judged(reference: list[tuple[float, float]] | None = None) -> list[Judged]:
    """Return the answers, with what a model gave each and the mismatched one before, where that is given."""
    judged = [
        Judged(
            Example(row, prompt + answer, len(prompt), len(answer), label=int(is_desirable)),
            Example(row, prompt + TOKENS[other][1], len(prompt), len(TOKENS[other][1])),
        )
        for row, ((prompt, answer, is_desirable), other) in enumerate(zip(TOKENS, MISMATCHED, strict=True))
    ]
    if reference is None:
        return judged
    return [
        replace(unit, reference=own, mismatched_reference=mismatched)
        for unit, (own, mismatched) in zip(judged, reference, strict=True)
    ]


def labelled_values(pairs: list[dict[str, str]]) -> list[dict[str, object]]:
    """Return two rows of each pair with a prompt, the chosen answer desirable and the rejected one not."""
    return [
        {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
        for pair in pairs
        for side in ("chosen", "rejected")
    ]
