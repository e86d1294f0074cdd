"""The losses of preference tuning against TRL's own on the same tokens, against formulas, and in micro-batches.

TRL's values were made with trl 1.16.0: `DPOTrainer._compute_loss` with `loss_types` sigmoid, sigmoid_norm or ipo,
`ORPOTrainer.odds_ratio_loss` and `CPOTrainer.cpo_loss` (loss_type="simpo"). They were given the log-probabilities of
padded rows of tests/support/pairs.py by transformers' eager attention in float64, of the tiny Llama of seed 0, with
that of seed 1 as the reference. ORPO's odds ratio is taken in float32 there.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.pairs import tiny_pairs
from support.tiny_models import (
    FAMILIES,
    gradients_of,
    largest_relative_difference,
    log_probs_token_by_token,
    tiny_model,
)

from tutelage.config.recipe import PreferenceSettings
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import target_log_probs
from tutelage.objectives.preference.loss import margin_rounding, preference_objective
from tutelage.objectives.preference.losses import load_loss
from tutelage.training.step import accumulate_gradients
from tutelage.training.validation import validate
from tutelage.tree.batches import micro_batches
from tutelage.tree.examples import examples_of
from tutelage.tree.prefix_tree import count_distinct, merge

TRL = {
    "sigmoid": ({}, 0.5752528585558572),
    "sigmoid, beta 0.5": ({"beta": 0.5}, 0.45574526361784573),
    "sigmoid_norm": ({"beta": 2.0, "length_normalized": True}, 1.0938209290806529),
    "ipo": ({"loss": "ipo", "length_normalized": True}, 25.120288133024633),
    "orpo": ({"loss": "orpo"}, 6.859016081264006),
    "simpo": ({"loss": "simpo", "beta": 2.0}, 0.25882908549196454),
    "simpo, smoothed": ({"loss": "simpo", "beta": 2.0, "label_smoothing": 0.1}, 0.4216498476979164),
}
TRL_REWARDS = {
    "chosen_reward": -0.24286534009571464,
    "rejected_reward": -0.5345142272174728,
    "margin": 0.2916488871217581,
    "accuracy": 0.75,
    "ties": 0,
}


def pairs_with_reference(family="llama"):
    pairs = tiny_pairs()
    known = answer_log_probs(tiny_model(family, seed=1), examples_of(pairs)).reshape(-1, 2)
    return tiny_pairs([tuple(one) for one in known.tolist()])


def metrics_of(settings, family="llama", pairs=None):
    return validate(tiny_model(family), pairs or pairs_with_reference(family), preference_objective(settings))


@pytest.mark.parametrize("name", TRL)
def test_the_loss_is_that_of_trl_on_the_same_tokens(name):
    settings, expected = TRL[name]
    found = metrics_of(PreferenceSettings(**settings))
    assert found["loss"] == pytest.approx(expected, abs=1e-6)


def test_the_rewards_are_those_of_trl_on_the_same_tokens():
    found = metrics_of(PreferenceSettings())
    del found["loss"]
    assert found == pytest.approx(TRL_REWARDS, abs=1e-6)


def test_a_loss_that_leaves_out_the_end_of_turn_is_caught():
    pairs = pairs_with_reference()

    def without_end(model, tree):
        log_probs = target_log_probs(model, tree)
        is_last = np.append(np.diff(tree.target_examples) > 0, True)
        return log_probs * torch.from_numpy(~is_last)

    part = preference_objective(PreferenceSettings()).loss(
        tiny_model("llama"),
        merge(examples_of(pairs)),
        pairs,
        normalizer=len(pairs),
        statistic=None,
        log_probs=without_end,
    )
    assert part.loss.item() != pytest.approx(TRL["sigmoid"][1], abs=1e-2)


def test_at_the_start_the_loss_is_ln_2_and_nothing_is_preferred():
    pairs = tiny_pairs()
    known = answer_log_probs(tiny_model("llama"), examples_of(pairs)).reshape(-1, 2)
    found = metrics_of(PreferenceSettings(), pairs=tiny_pairs([tuple(one) for one in known.tolist()]))
    assert found["loss"] == pytest.approx(math.log(2), rel=1e-12)
    assert (found["margin"], found["accuracy"], found["ties"]) == (0, 0, 1)


@pytest.mark.parametrize("settings", [{}, {"beta": 0.5}, {"length_normalized": True}, {"loss": "ipo"}])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_start_every_pair_is_a_tie_however_it_is_rounded(family, dtype, settings):
    model, pairs = tiny_model(family, dtype=dtype), tiny_pairs()
    # One tree of all pairs, and one for each, round in different ways.
    known = answer_log_probs(model, examples_of(pairs)).reshape(-1, 2)
    started = tiny_pairs([tuple(one) for one in known.tolist()])
    objective = preference_objective(PreferenceSettings(**settings))
    parts = [
        objective.loss(
            model,
            merge(examples_of([pair])),
            [pair],
            normalizer=1,
            statistic=None,
            log_probs=target_log_probs,
        )
        for pair in started
    ]
    assert [(part.metrics["margin"], part.metrics["accuracy"], part.metrics["ties"]) for part in parts] == [
        (0, 0, 1)
    ] * len(pairs)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        # Sums of 30 and 50 nats over 3 and 5 tokens, twice: 2 * (33 + 55) units of rounding.
        ({"beta": 1.0}, 2 * (33 + 55)),
        ({"beta": 0.5}, (33 + 55)),
        ({"beta": 1.0, "length_normalized": True}, 2 * (33 / 3 + 55 / 5)),
        ({"beta": 1.0, "loss": "simpo"}, 33 / 3 + 55 / 5),
        ({"beta": 1.0, "loss": "orpo"}, 33 / 3 + 55 / 5),
    ],
)
def test_the_limit_of_a_tie_is_the_rounding_of_the_sums_in_the_dtype(settings, limit):
    pair = tiny_pairs([(-30.0, -50.0)] * 4)[0]
    policy = torch.tensor([[-30.0, -50.0]], dtype=torch.float64)
    for dtype, unit in ((torch.bfloat16, 2**-7), (torch.float32, 2**-23), (torch.float64, 2**-52)):
        found = margin_rounding(policy, [pair], PreferenceSettings(**settings), dtype)
        assert found.tolist() == pytest.approx([limit * unit], rel=1e-12)


def test_a_margin_within_rounding_is_a_tie_and_changes_no_loss():
    model = tiny_model("llama")
    known = answer_log_probs(model, examples_of(tiny_pairs())).reshape(-1, 2)
    known[:, 0] -= 0.05  # nats by which each chosen answer is ahead: much in float64, nothing in bfloat16
    pairs, objective = (
        tiny_pairs([tuple(one) for one in known.tolist()]),
        preference_objective(PreferenceSettings()),
    )
    fine = validate(model, pairs, objective)
    rough = validate(replace(model, compute_dtype=torch.bfloat16), pairs, objective)
    assert (fine["accuracy"], fine["ties"]) == (1, 0)
    assert (rough["accuracy"], rough["ties"], rough["margin"]) == (0, 1, 0)
    assert fine["margin"] == pytest.approx(0.005)
    for unchanged in ("loss", "chosen_reward", "rejected_reward"):
        assert rough[unchanged] == fine[unchanged]


SCORES = torch.tensor([[-1.0, -3.0], [-2.0, -0.5]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # 2 and -1.5 are how far the chosen answer is ahead.
        ({}, [math.log1p(math.exp(-0.2)), math.log1p(math.exp(0.15))]),
        (
            {"label_smoothing": 0.25},
            [
                0.75 * math.log1p(math.exp(-0.2)) + 0.25 * math.log1p(math.exp(0.2)),
                0.75 * math.log1p(math.exp(0.15)) + 0.25 * math.log1p(math.exp(-0.15)),
            ],
        ),
        ({"loss": "ipo", "beta": 0.5}, [(2 - 1) ** 2, (-1.5 - 1) ** 2]),
        (
            {"loss": "simpo", "beta": 2.0, "gamma": 1.0},
            [math.log1p(math.exp(-3)), math.log1p(math.exp(4))],
        ),
    ],
)
def test_each_loss_is_its_formula(settings, expected):
    chosen = PreferenceSettings(**settings)
    assert load_loss(chosen.loss).of_scores(SCORES, chosen).tolist() == pytest.approx(expected, rel=1e-12)


def test_the_odds_of_orpo_are_those_of_its_paper():
    odds = [[p / (1 - p) for p in row] for row in SCORES.exp().tolist()]
    expected = [
        -score - 0.1 * math.log(1 / (1 + math.exp(-math.log(chosen / rejected))))
        for (chosen, rejected), score in zip(odds, SCORES[:, 0].tolist(), strict=True)
    ]
    settings = PreferenceSettings(loss="orpo")
    assert load_loss("orpo").of_scores(SCORES, settings).tolist() == pytest.approx(expected, rel=1e-12)


def test_an_answer_that_is_certain_leaves_the_loss_of_orpo_finite():
    scores = torch.zeros(1, 2, requires_grad=True)
    loss = load_loss("orpo").of_scores(scores, PreferenceSettings(loss="orpo"))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert scores.grad.isfinite().all()


def gradients(model, pairs, size, distinct_tokens=2048, settings=PreferenceSettings()):  # noqa: B008 - frozen
    model.module.zero_grad(set_to_none=True)
    cut = micro_batches(pairs, size=size, distinct_tokens=distinct_tokens)
    objective = preference_objective(settings)
    loss, _, metrics = accumulate_gradients(model, cut, normalizer=len(pairs), objective=objective)
    return {"loss": torch.tensor(loss, dtype=torch.float64), **gradients_of(model.module)}, metrics


def by_hand(model, pairs):
    """One token at a time through transformers' own attention, and the formula of the paper."""
    losses = []
    for pair in pairs:
        ahead = 0.0
        for example, known, sign in zip(pair.examples, pair.reference, (1, -1), strict=True):
            ahead = ahead + sign * (log_probs_token_by_token(model.module, example).sum() - known)
        losses.append(-torch.nn.functional.logsigmoid(0.1 * ahead))
    loss = torch.stack(losses).mean()
    loss.backward()
    return {"loss": loss.detach(), **gradients_of(model.module)}


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_over_the_tree_are_those_of_one_answer_at_a_time(family):
    pairs = pairs_with_reference(family)
    expected = by_hand(tiny_model(family), pairs)
    for size in (1, 3, 4):
        found, _ = gradients(tiny_model(family), pairs, size)
        assert largest_relative_difference(found, expected) < 1e-10


def test_a_reference_of_the_wrong_pair_is_caught():
    pairs = pairs_with_reference()
    shifted = tiny_pairs([pairs[place - 1].reference for place in range(len(pairs))])
    found, _ = gradients(tiny_model("llama"), shifted, 4)
    right, _ = gradients(tiny_model("llama"), pairs, 4)
    assert largest_relative_difference(found, right) > 1e-2


def test_the_metrics_of_micro_batches_add_up_to_the_means_over_all_pairs():
    pairs = pairs_with_reference()
    metrics = [gradients(tiny_model("llama"), pairs, size)[1] for size in (1, 2, 4)]
    for found in metrics:
        assert found == pytest.approx(TRL_REWARDS, abs=1e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_no_cut_separates_a_pair_and_each_is_in_one(padded):
    pairs = tiny_pairs()
    for budget in (1, 8, 16, 24, 2048):
        cut = micro_batches(pairs, size=3, distinct_tokens=budget, padded=padded)
        assert sorted(pair.row for batch in cut for pair in batch) == [0, 1, 2, 3]
        for batch in cut:
            examples = examples_of(batch)
            used = (
                len(examples) * max(len(example.ids) - 1 for example in examples)
                if padded
                else count_distinct(examples)
            )
            assert used <= budget or len(batch) == 1


def test_the_prompt_of_a_pair_stands_in_its_tree_once():
    [pair, *_] = tiny_pairs()
    # 4 ids of the prompt and the 20 that both answers begin with, then 21 alone, and 30, 31 and 32.
    assert len(merge(examples_of([pair])).token_ids) == 4 + 1 + 1 + 3
