"""The rules under which an export is the model that was trained, and what breaks each of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tutelage.export import verification
from tutelage.export.chinese_prompts import chinese_prompts
from tutelage.export.reload import Behaviour, Job
from tutelage.export.verification import Reference, divergence, judge

PROMPTS = 200


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


LOG_PROBS = log_softmax(np.random.default_rng(1).standard_normal((5, 30)))
SAME = Behaviour([[1, 2]] * PROMPTS, ["a chat"], [[3, 4, 5] for _ in range(PROMPTS)], 1.0, LOG_PROBS)


@pytest.fixture
def reference():
    job = Job("", "", "", None, ["text"] * PROMPTS, [[]], SAME.ids, SAME.answers, [[1]], 8, 30, 0)
    return Reference(SimpleNamespace(), job, SAME, 0)


@pytest.fixture
def margin(monkeypatch):
    """Say how near the best two tokens were wherever an answer differs."""

    def set_to(nats):
        monkeypatch.setattr(
            verification, "_margins", lambda reference, found, different: [nats] * len(different)
        )

    set_to(0.0)
    return set_to


def with_answers(*, wrong):
    return replace(SAME, answers=[[3, 7] if at < wrong else [3, 4, 5] for at in range(PROMPTS)])


@pytest.mark.parametrize("precision", ["f32", "f16", "q8_0", "q4_0"])
def test_the_same_behaviour_is_the_same_model(reference, precision):
    found = judge(reference, SAME, precision)
    assert found.mismatch is None
    assert (found.answers_equal, found.mean_kl, found.largest_log_prob_difference) == (PROMPTS, 0, 0)


def test_in_float32_one_other_answer_is_too_many(reference, margin):
    assert "199 of 200" in judge(reference, with_answers(wrong=1), "f32").mismatch


def test_in_half_precision_one_answer_in_a_hundred_may_differ_at_a_tie(reference, margin):
    margin(0.009)
    assert judge(reference, with_answers(wrong=2), "f16").mismatch is None
    assert "197 of 200" in judge(reference, with_answers(wrong=3), "f16").mismatch
    margin(0.011)
    assert "0.011 nats apart" in judge(reference, with_answers(wrong=1), "f16").mismatch


@pytest.fixture
def rounded(monkeypatch):
    """Say what the run's model with rounded weights finds after the contexts, and where answers part."""

    def set_to(after_contexts, where_answers_part):
        def found(model, contexts):
            told = after_contexts if contexts == [[1]] else np.tile(where_answers_part, (len(contexts), 1))
            return torch.from_numpy(told)

        monkeypatch.setattr(verification, "next_log_probs", found)
        return SimpleNamespace

    return set_to


def scores(second):
    """Return log-probabilities in which token 7 is so many nats below the best, 4."""
    logits = np.full((1, 30), -9.0)
    logits[0, 4], logits[0, 7] = 0.0, -second
    return log_softmax(logits)


def test_what_rounded_weights_say_too_is_no_fault_of_the_file(reference, margin, rounded):
    margin(0.03)
    nearly = log_softmax(LOG_PROBS + 1e-3 * np.eye(5, 30))
    found = replace(with_answers(wrong=9), log_probs=nearly)
    assert "191 of 200" in judge(reference, found, "f16").mismatch
    assert judge(reference, found, "f16", rounded=rounded(LOG_PROBS, scores(0.005))).mismatch is None


@pytest.mark.parametrize(
    ("after_contexts", "second", "told"),
    [
        (LOG_PROBS, 0.02, "0.020 nats less likely in half"),
        (log_softmax(LOG_PROBS + 0.1 * np.eye(5, 30)), 0.0, "run's model in half precision is"),
    ],
)
def test_what_rounded_weights_do_not_say_is_a_fault(reference, rounded, after_contexts, second, told):
    asked = rounded(after_contexts, scores(second))
    assert told in judge(reference, with_answers(wrong=9), "f16", rounded=asked).mismatch


def test_rounding_excuses_nothing_in_float32(reference, margin, rounded):
    asked = rounded(LOG_PROBS, scores(0.0))
    assert "199 of 200" in judge(reference, with_answers(wrong=1), "f32", rounded=asked).mismatch


def test_an_export_of_which_nothing_could_be_compared_is_not_proven(reference):
    nothing = replace(SAME, ids=[], answers=[])
    asked = replace(
        reference, job=replace(reference.job, prompts=[], texts=[]), behaviour=nothing, left_out=7
    )
    assert "none of 7 prompts" in judge(asked, nothing, "f32").mismatch


def test_a_coarse_quantisation_is_told_of_and_not_refused(reference, margin):
    noisy = replace(
        with_answers(wrong=50),
        log_probs=log_softmax(LOG_PROBS + np.random.default_rng(2).standard_normal(LOG_PROBS.shape)),
    )
    found = judge(reference, noisy, "q4_0")
    assert found.mismatch is None
    assert found.is_coarse
    assert "KL divergence" in judge(reference, noisy, "q8_0").mismatch


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (replace(SAME, ids=[[1, 2, 2], *SAME.ids[1:]]), "1 of 200 prompts get different token ids"),
        (replace(SAME, rendered=["another chat"]), "chat template"),
        (replace(SAME, log_probs=LOG_PROBS * np.nan), "not finite"),
    ],
)
def test_other_ids_a_wrong_template_and_broken_numbers_are_never_the_model(reference, broken, told):
    assert told in judge(reference, broken, "q4_0").mismatch


def test_the_evidence_shows_what_differed(reference, margin):
    [shown] = judge(reference, with_answers(wrong=1), "f32").evidence
    assert (shown["run"], shown["export"]) == ([3, 4, 5], [3, 7])


def test_the_divergence_is_that_of_the_formula():
    own, found = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    kl, largest = divergence(own, found)
    assert kl == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert largest == pytest.approx(np.log(2))


def test_there_are_a_hundred_chinese_prompts_and_no_two_are_the_same():
    assert len(set(chinese_prompts())) == 100
