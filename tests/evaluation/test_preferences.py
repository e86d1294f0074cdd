"""Which pairs a preference tuning won, lost or tied, and what the verdict makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tutelage.evaluation.preference import ReadPairs, judge_preferences
from tutelage.recipe import PreferenceSettings

SETTINGS = PreferenceSettings(beta=1.0)


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
    assert (found["margin"]["mean"], found["margin"]["low"], found["margin"]["high"]) == (0, 0, 0)


@pytest.mark.parametrize(("sign", "verdict"), [(1, "better"), (-1, "worse")])
def test_ties_speak_for_neither_answer(sign, verdict):
    found = judged([sign * 1.0] * 20 + [sign * 1e-6] * 60)
    assert (found["ties"], found["verdict"]) == (60, verdict)
    assert found["accuracy"]["value"] == (0.25 if sign > 0 else 0)
    assert found["accuracy_without_ties"]["value"] == (1 if sign > 0 else 0)


def test_few_pairs_that_are_no_ties_make_no_verdict():
    assert judged([1.0] * 9 + [0.0] * 60)["verdict"] == "no difference detectable"


def test_the_limit_is_that_of_the_dtype():
    # Two readings of 33 + 55 nats and tokens: 2e-5 nats in float32, 1.4 in bfloat16.
    gained = [1e-5] * 10 + [1e-3] * 20 + [2.0] * 30
    assert judged(gained, torch.float32)["ties"] == 10
    assert judged(gained, torch.bfloat16)["ties"] == 30
    assert judged(gained, torch.float64)["ties"] == 0


def test_the_likelier_answer_is_ahead_by_more_than_rounding():
    assert judged([0.0] * 12)["chosen_likelier"]["base"]["value"] == 1
    assert judged([0.0] * 12, base=(-30.0, -30.000001))["chosen_likelier"]["base"]["value"] == 0
    assert judged([0.0] * 12, torch.float64, (-30.0, -30.000001))["chosen_likelier"]["base"]["value"] == 1
