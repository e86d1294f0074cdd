from itertools import pairwise

import numpy as np
import pytest

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.paired.verdict import verdict
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.report.charts import distribution_chart
from tutelage.report.drawings import WIDTH, WIDTHS, draw_interval, draw_intervals, split_rows

MIDDLE = WIDTH / 2


def drawn(base, tuned, metric, width=WIDTH):
    one = paired_difference(base, tuned)
    return one, draw_interval(one, load_metric(metric), verdict(one, load_metric(metric)), width=width)


def scores(gain, spread=10):
    chance = np.random.default_rng(0)
    base = chance.uniform(20, 60, 50)
    return base, base + gain + chance.normal(0, spread, 50)


def test_the_interval_stands_in_proportion_to_the_smallest_detectable_change():
    one, drawing = drawn(*scores(20), "chrf")
    scale = (drawing.point - MIDDLE) / one.difference
    assert drawing.left - MIDDLE == pytest.approx(scale * one.low, abs=0.2)
    assert drawing.right - MIDDLE == pytest.approx(scale * one.high, abs=0.2)
    assert drawing.unseen.width == pytest.approx(2 * scale * one.minimum_detectable_effect, abs=0.2)
    assert drawing.kind == "better"
    assert 0 <= drawing.left < drawing.right <= WIDTH


def test_better_is_on_the_right_where_lower_is_better():
    _, drawing = drawn(*scores(-20), "bits_per_byte")
    assert MIDDLE < drawing.left < drawing.point < drawing.right
    assert [label.text for label in drawing.labels] == sorted([label.text for label in drawing.labels])


@pytest.mark.parametrize("width", WIDTHS.values())
@pytest.mark.parametrize(("gain", "spread"), [(0, 10), (1, 4), (40, 3), (-2, 1), (15, 30), (8, 30), (-9, 30)])
def test_labels_run_neither_into_each_other_nor_into_the_zero_nor_out_of_the_drawing(gain, spread, width):
    _, drawing = drawn(*scores(gain, spread), "chrf", width)
    stretches = [(width / 2 - 6, width / 2 + 6)]
    for label in drawing.labels:
        length = 9 * len(label.text)
        begin = label.x - {"start": 0, "middle": length / 2, "end": length}[label.anchor]
        stretches.append((begin, begin + length))
    stretches.sort()
    assert all(one[1] <= other[0] for one, other in pairwise(stretches))
    assert stretches[0][0] >= 0
    assert stretches[-1][1] <= width


def test_rows_alike_have_no_interval_to_draw():
    one = paired_difference(np.arange(20.0), np.arange(20.0) + 1)
    assert draw_intervals(one, load_metric("chrf"), verdict(one, load_metric("chrf"))) == {}


def test_a_lower_value_wins_where_lower_is_better():
    one = paired_difference(np.array([3.0, 3, 3, 3]), np.array([1.0, 2, 3, 4]))
    assert [(part.kind, part.rows) for part in split_rows(one, load_metric("bits_per_byte"))] == [
        ("better", 2),
        ("same", 1),
        ("worse", 1),
    ]
    assert [part.rows for part in split_rows(one, load_metric("chrf"))] == [1, 1, 2]


def test_a_distribution_of_two_values_is_no_drawing():
    right_or_wrong = np.array([0.0, 100, 100])
    assert distribution_chart(right_or_wrong, right_or_wrong, load_metric("exact_match")) is None


def test_a_distribution_says_its_quarters():
    chart = distribution_chart(np.arange(101.0), np.arange(101.0) / 2, load_metric("chrf"))
    assert chart.description == (
        "The median is 50.0 (interquartile range 25.0 to 75.0) before and 25.0 (interquartile range 12.5 to 37.5)"
        " after."
    )
