"""Choose some of many items without chance."""

import numpy as np


def spread(count: int, most: int) -> list[int]:
    """Return the places of at most so many items, evenly spaced among `count`."""
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist() if count else []
