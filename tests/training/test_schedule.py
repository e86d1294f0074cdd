"""The learning rate against its closed form, for every short run."""

from fractions import Fraction
from math import cos, isclose, pi

import pytest

from tutelage.training.schedule import learning_rate_at

PEAK = 3e-4
KINDS = ("constant", "linear", "cosine")


def expected_rate(step: int, *, steps: int, warmup_steps: int, kind: str) -> float:
    """The rise is by equal parts; the fall reaches 0 one step after the last."""
    if step < warmup_steps:
        return PEAK * float(Fraction(step + 1, warmup_steps))
    if kind == "constant":
        return PEAK
    left = Fraction(steps - step, steps - warmup_steps)  # 1 at the peak
    # (1 + cos(pi * (1 - left))) / 2, written so that nothing cancels.
    return PEAK * (float(left) if kind == "linear" else 1 - cos(pi * float(left) / 2) ** 2)


def faults(rate_at, kind: str) -> list[tuple[int, int, int]]:
    """Return (steps, warm-up, step) wherever a schedule is not the closed form to 13 digits, or stands still."""
    return [
        (steps, warmup_steps, step)
        for steps in range(1, 41)
        for warmup_steps in range(steps + 1)
        for step in range(steps)
        if not isclose(
            rate := rate_at(step, steps=steps, warmup_steps=warmup_steps, peak=PEAK, kind=kind),
            expected_rate(step, steps=steps, warmup_steps=warmup_steps, kind=kind),
            rel_tol=1e-13,
        )
        or not 0 < rate <= PEAK
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_rate_of_every_run_up_to_40_steps_is_the_closed_form(kind):
    assert faults(learning_rate_at, kind) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_schedule_that_is_one_step_behind_is_caught(kind):
    def behind(step, **settings):
        return learning_rate_at(step - 1, **settings) if step else 0.0

    assert faults(behind, kind)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_schedule_that_wastes_the_last_step_is_caught(kind):
    def down_to_zero(step, *, steps, warmup_steps, peak, kind):
        return learning_rate_at(
            step, steps=max(1, steps - 1), warmup_steps=warmup_steps, peak=peak, kind=kind
        )

    assert faults(down_to_zero, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_peak_is_reached_at_the_end_of_the_warm_up(kind):
    rates = [learning_rate_at(step, steps=20, warmup_steps=5, peak=PEAK, kind=kind) for step in range(20)]
    assert rates[4] == max(rates) == PEAK
    assert rates[:4] == sorted(rates[:4])
    assert rates[4:] == sorted(rates[4:], reverse=True)
