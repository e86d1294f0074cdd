"""Which pairs a preference tuning won, lost or tied, and what the verdict makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tutelage.config.recipe import PreferenceSettings
from tutelage.objectives.preference.evaluation import ReadPairs, judge_preferences, pair_records

SETTINGS = PreferenceSettings(beta=1.0)


class Rows(list):
    """Rows that may have rejected answers beside them."""


def judged(gained, dtype=torch.float32, base=(-30.0, -50.0)):
    """Judge pairs of answers of 3 and 5 tokens; `gained` are the nats by which each chosen answer gained."""
    count = len(gained)
    before = np.tile(base, (count, 1))
    after = before + np.column_stack([gained, np.zeros(count)])
    shape = np.tile([3, 5], (count, 1))
    pairs = ReadPairs(SimpleNamespace(), before, after, tokens=shape, bytes=4 * shape, dtype=dtype)
    return judge_preferences(pairs, SETTINGS, clusters=np.arange(count), length=None)


def test_a_model_that_did_not_move_has_won_no_pair_and_is_not_worse():
    noise = np.random.default_rng(0).normal(scale=1e-6, size=40)
    found = judged(noise)
    assert (found["accuracy"]["value"], found["ties"], found["accuracy_without_ties"]) == (0, 40, None)
    assert found["verdict"] == "no difference detectable"
    assert found["margin"]["mean"] == pytest.approx(noise.mean(), rel=1e-6)
    assert -1e-6 < found["margin"]["low"] < 0 < found["margin"]["high"] < 1e-6


@pytest.mark.parametrize(("sign", "verdict"), [(1, "better"), (-1, "worse")])
def test_ties_speak_for_neither_answer(sign, verdict):
    found = judged([sign * 1.0] * 20 + [sign * 1e-6] * 60)
    assert (found["ties"], found["verdict"]) == (60, verdict)
    assert found["accuracy"]["value"] == (0.25 if sign > 0 else 0)
    assert found["accuracy_without_ties"]["value"] == (1 if sign > 0 else 0)


def test_ties_draw_no_mean_margin_to_0():
    gained = [0.4, 0.6] * 20  # nats, within the rounding of bfloat16
    found = judged(gained, torch.bfloat16)
    assert (found["ties"], found["verdict"]) == (40, "no difference detectable")
    margin = found["margin"]
    assert margin["mean"] == pytest.approx(0.5)
    assert 0 < margin["low"] < 0.5 < margin["high"]
    assert margin == judged(gained, torch.float64)["margin"]


def test_each_line_says_whether_its_margin_is_a_tie():
    row = SimpleNamespace(example=SimpleNamespace(row=3), prompt="q", response="a")
    rows = Rows([row] * 2)
    rows.answers = {"chosen": rows, "rejected": [SimpleNamespace(response="b")] * 2}
    base = np.tile((-30.0, -50.0), (2, 1))
    shape = np.tile([3, 5], (2, 1))
    pairs = ReadPairs(rows, base, base + np.array([[0.5, 0], [2.0, 0]]), shape, shape, torch.bfloat16)
    assert [(one["margin"], one["is_tie"]) for one in pair_records(pairs, SETTINGS)] == [
        (0.5, True),
        (2.0, False),
    ]


def test_few_pairs_that_are_no_ties_make_no_verdict():
    assert judged([1.0] * 9 + [0.0] * 60)["verdict"] == "no verdict"


def test_the_limit_is_that_of_the_dtype():
    # Two readings of 33 + 55 nats and tokens: 2e-5 nats in float32, 1.4 in bfloat16.
    gained = [1e-5] * 10 + [1e-3] * 20 + [2.0] * 30
    assert judged(gained, torch.float32)["ties"] == 10
    assert judged(gained, torch.bfloat16)["ties"] == 30
    assert judged(gained, torch.float64)["ties"] == 0


def test_the_likelier_answer_is_ahead_by_more_than_rounding_and_ties_are_counted():
    def of_base(*arguments):
        found = judged([0.0] * 12, *arguments)["chosen_likelier"]
        assert found["base"] == found["tuned"]
        return found["base"]["value"], found["base"]["ties"]

    close = (-30.0, -30.000001)
    assert of_base() == (1, 0)
    assert of_base(torch.float32, close) == (0, 12)
    assert of_base(torch.float64, close) == (1, 0)
    assert of_base(torch.float32, (-50.0, -30.0)) == (0, 0)
