"""Several metrics at once: one in twenty would clear its line by luck, so their p values are raised together."""

from collections.abc import Mapping


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values by name, so adjusted that any of them is below 0.05 by luck in at most one of twenty tests.

    Holm 1979, Scandinavian Journal of Statistics 6:65-70: the smallest times their number, the next times one less,
    and none below the one before it.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
