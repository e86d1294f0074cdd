"""GPT-4's scores from 0 to 100 of two models' answers to the same 100 rows, from the book's repository (chapter 7)."""

import numpy as np


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


MODEL_1 = _numbers("""
    0 50 20 100 0 100 0 100 100 100 55 0 100 100 100 100 100 0 98 100 100 0 100 100 100 100 100 100
    0 100 100 0 100 100 85 100 0 0 100 100 100 100 100 100 0 100 100 95 20 50 85 100 100 100 100 55
    100 100 100 0 100 98 100 100 100 0 85 100 100 98 100 100 100 0 100 100 100 100 0 100 0 100 100
    0 0 100 50 100 100 10 100 100 100 100 0 100 100 25 100 30
    """)
MODEL_2 = _numbers("""
    0 100 0 100 0 100 0 100 0 0 50 0 100 100 100 100 100 100 100 95 0 50 100 100 0 0 100 0 0 100 0
    0 100 0 67 0 0 0 100 100 95 100 100 100 0 0 0 0 100 100 100 0 55 100 0 100 65 100 100 0 100 100
    100 0 100 0 85 100 100 85 0 75 100 0 0 100 100 100 0 100 0 50 100 100 0 100 0 0 100 85 100 0
    100 100 0 100 100 0 0 0
    """)
# The differences keep their spread of 47 points; the bounds of the scale are not held by effects planted on them.
DIFFERENCE = float((MODEL_2 - MODEL_1).mean())


def drawn_pairs(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows with the scores of both models: two arrays (rows,), whose true difference is DIFFERENCE."""
    picked = chance.integers(len(MODEL_1), size=rows)
    return MODEL_1[picked], MODEL_2[picked]


def equal_pairs(chance: np.random.Generator, rows: int, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows likewise, each model taking either place by chance: two arrays whose true difference is `effect`."""
    one, other = drawn_pairs(chance, rows)
    swapped = chance.random(rows) < 0.5
    return np.where(swapped, other, one), np.where(swapped, one, other) + effect
