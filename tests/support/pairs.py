"""Pairs of answers that share their prompts, as ids of the tiny models and as rows of a file."""

from dataclasses import replace

from support.rows import WORDS
from support.tiny_models import END

from tutelage.tree.examples import Example, Pair

# Prompt, chosen and rejected answer; two pairs have the same prompt, and two answers begin alike.
TOKENS = (
    ((5, 6, 7, 8), (20, 21, END), (20, 30, 31, 32, END)),
    ((5, 6, 9), (40, END), (41, 42, 43, END)),
    ((5, 6, 7, 8), (20, 22, 23, END), (50, END)),
    ((60, 61), (62, 63, 64, 65, 66, END), (62, 63, END)),
)


def tiny_pairs(reference: list[tuple[float, float]] | None = None) -> list[Pair]:
    """Return the pairs, with what a model gave both answers before where that is told."""
    pairs = [
        Pair(_example(row, prompt, chosen), _example(row, prompt, rejected))
        for row, (prompt, chosen, rejected) in enumerate(TOKENS)
    ]
    if reference is None:
        return pairs
    return [replace(pair, reference=one) for pair, one in zip(pairs, reference, strict=True)]


def _example(row: int, prompt: tuple[int, ...], answer: tuple[int, ...]) -> Example:
    return Example(row, prompt + answer, len(prompt), len(answer))


def preference_values(count: int) -> list[dict[str, str]]:
    """Return so many rows in which the polite answer is preferred to the rude one."""
    return [
        {
            "prompt": f"Give {number} a {WORDS[number % len(WORDS)]}.",
            "chosen": f"Gladly: {WORDS[number % len(WORDS)]}.",
            "rejected": f"No, take {number} yourself.",
        }
        for number in range(count)
    ]
