import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import ttest_1samp, ttest_rel
from support.fake_examples import PREAMBLE
from support.tiny_models import ragged_examples, tiny_model
from support.tiny_tokenizer import write_tiny_model

from tutelage.evaluation.regression.general_text_check import (
    FEWEST_PASSAGES,
    TOKENS_COMPARED,
    Passage,
    Reading,
    compare_general_text,
    general_prompts,
    general_texts,
    kl_divergence,
    next_log_probs,
    passage_rows,
    read_general,
    read_general_prompts,
    read_passages,
    some_of,
)
from tutelage.model.loading import load_tokenizer
from tutelage.tree.examples import Example, PreparedRow

PASSAGES = [
    Passage("code" if index % 2 else "prose", PreparedRow("", "text", Example(index, (1, 2, 3), 1, 2)))
    for index in range(120)
]


MARGINS = {"margin": 0.1, "kl_margin": 0.5}


def reading(bits, expected=None):
    evenly = np.full((2 * TOKENS_COMPARED, 4), 0.25)
    return Reading(bits, torch.from_numpy(evenly if expected is None else expected).log())


def changed(by, spread=0.05):
    chance = np.random.default_rng(0)
    base = chance.uniform(0.8, 1.6, 120)
    return base, base + by + chance.normal(0, spread, 120)


def judged(by, spread=0.05):
    base, tuned = changed(by, spread)
    return compare_general_text(PASSAGES, reading(base), reading(tuned), **MARGINS)


@pytest.mark.parametrize(
    ("by", "spread", "verdict"),
    [
        (0.0, 0.05, "pass"),
        (-0.2, 0.05, "pass"),
        (0.08, 0.05, "pass"),
        (0.1, 0.05, "inconclusive"),
        (0.02, 0.9, "inconclusive"),  # not seen is not ruled out
        (0.2, 0.05, "fail"),
    ],
)
def test_no_regression_is_claimed_only_where_the_whole_interval_is_below_the_margin(by, spread, verdict):
    assert judged(by, spread)["verdict"] == verdict


def test_a_test_of_difference_would_have_claimed_no_regression_wrongly():
    base, tuned = changed(0.02, 0.9)
    assert ttest_rel(tuned, base).pvalue > 0.05
    assert judged(0.02, 0.9)["verdict"] == "inconclusive"


def test_the_figures_are_those_of_a_paired_test_over_passages():
    base, tuned = changed(0.03)
    found = judged(0.03)
    expected = ttest_rel(tuned, base).confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["kinds"]["code"]["tuned"] == pytest.approx(tuned[1::2].mean())
    assert found["kinds"]["prose"]["base"] == pytest.approx(base[::2].mean())
    assert (found["passages"], found["bytes"]) == (120, 480)


def test_each_passage_is_kept_with_both_readings_so_that_runs_can_be_paired():
    base, tuned = changed(0.03)
    kept = passage_rows(PASSAGES[::-1], reading(base[::-1]), reading(tuned[::-1]))
    found = {row["passage"]: row for row in kept}
    assert len(found) == 120
    assert [found[index]["tuned"] for index in range(120)] == tuned.tolist()
    assert [found[index]["base"] for index in range(120)] == base.tolist()
    assert found[7]["kind"] == "code"
    assert found[7]["sha256"] == hashlib.sha256(b"text").hexdigest()


def test_a_model_that_is_its_base_has_lost_nothing():
    base, _ = changed(0)
    found = compare_general_text(PASSAGES, reading(base), reading(base), **MARGINS)
    assert (found["verdict"], found["difference"], found["high"], found["kl"]) == ("pass", 0, 0, 0)
    assert (found["kl_verdict"], found["kl_low"], found["kl_high"]) == ("pass", 0, 0)


def test_a_handful_of_passages_claims_nothing():
    base, tuned = changed(0)
    few = [reading(bits[:29]) for bits in (base, tuned)]
    assert compare_general_text(PASSAGES[:29], *few, **MARGINS) is None


def test_the_divergence_is_from_the_base_to_the_tuned_model():
    chance = np.random.default_rng(1)
    base, tuned = chance.dirichlet(np.ones(7), 5), chance.dirichlet(np.ones(7), 5)
    found = kl_divergence(torch.from_numpy(base).log(), torch.from_numpy(tuned).log())
    assert found == pytest.approx(rel_entr(base, tuned).sum(axis=1))
    assert found != pytest.approx(rel_entr(tuned, base).sum(axis=1))


def moved(nats, spread):
    """Return what a base and a tuned model expect at 60 prompts, each about so many nats away from the base."""
    chance = np.random.default_rng(3)
    wanted = np.clip(nats + chance.normal(0, spread, 60), 1e-6, 0.68).repeat(TOKENS_COMPARED)
    # From (1/2, 1/2) to (p, 1 - p) the divergence is -ln(4 p (1 - p)) / 2.
    p = (1 - np.sqrt(1 - np.exp(-2 * wanted))) / 2
    return np.full((len(p), 2), 0.5), np.stack([p, 1 - p], axis=1), wanted


@pytest.mark.parametrize(
    ("nats", "spread", "verdict"),
    [(0.1, 0.02, "pass"), (0.48, 0.02, "pass"), (0.5, 0.2, "inconclusive"), (0.6, 0.02, "fail")],
)
def test_the_divergence_is_within_its_margin_only_with_its_whole_interval(nats, spread, verdict):
    before, after, wanted = moved(nats, spread)
    base, tuned = changed(0)
    found = compare_general_text(PASSAGES, reading(base, before), reading(tuned, after), **MARGINS)
    assert (found["kl_verdict"], found["prompts"]) == (verdict, 60)
    assert found["kl"] == pytest.approx(wanted.mean())
    expected = ttest_1samp(wanted[::TOKENS_COMPARED], 0).confidence_interval()
    assert (found["kl_low"], found["kl_high"]) == pytest.approx((expected.low, expected.high))
    assert f"{wanted.mean():.3f} nats per token" in found["kl_sentence"]


def test_tokens_of_one_prompt_that_count_as_separate_would_be_told():
    _, _, wanted = moved(0.3, 0.1)
    alone = ttest_1samp(wanted, 0).confidence_interval()
    together = ttest_1samp(wanted[::TOKENS_COMPARED], 0).confidence_interval()
    assert alone.high - alone.low < 0.75 * (together.high - together.low)


def test_two_hundred_short_prompts_ship_each_of_them_once_some_in_chinese():
    prompts = general_prompts()
    assert len(prompts) == len(set(prompts)) == 200
    assert all(0 < len(prompt) <= 100 for prompt in prompts)
    assert sum(bool(re.search(r"[一-鿿]", prompt)) for prompt in prompts) == 20


def test_what_is_compared_are_the_last_words_of_each_prompt_as_plain_text(folder):
    tokenizer = load_tokenizer(folder)
    beginnings = read_general_prompts(folder)
    assert len(beginnings) == 200 * TOKENS_COMPARED
    for index, prompt in enumerate(general_prompts()):
        own = beginnings[index * TOKENS_COMPARED : (index + 1) * TOKENS_COMPARED]
        assert [len(ids) for ids in own] == list(range(len(own[0]), len(own[0]) + TOKENS_COMPARED))
        assert len(own[0]) > 0
        assert tokenizer(prompt)["input_ids"][:-1] == list(own[-1])


def test_a_limit_on_the_test_rows_leaves_as_many_passages_and_prompts_but_enough_for_a_verdict(folder):
    passages, prompts = read_passages(folder, "alpaca"), general_prompts()
    for limit, expected in ((1, FEWEST_PASSAGES), (40, 40), (1000, len(passages))):
        chosen = read_passages(folder, "alpaca", limit)
        assert len(chosen) == expected
        assert chosen == [passage for passage in passages if passage in chosen]
        # Evenly spaced, so every kind of text is there.
        assert {one.kind for one in chosen} == {one.kind for one in passages}
    assert some_of(prompts, None) == some_of(prompts, 1000) == prompts
    assert sum(prompt in prompts[100:] for prompt in some_of(prompts, 40)) == 20
    assert len(read_general_prompts(folder, 1)) == FEWEST_PASSAGES * TOKENS_COMPARED
    assert len(read_general_prompts(folder, 40)) == 40 * TOKENS_COMPARED


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_next_tokens_over_a_tree_are_those_of_each_prompt_alone(family, monkeypatch):
    model = tiny_model(family)
    prompts = [example.prompt_ids for example in ragged_examples(9)]
    alone = torch.stack([next_log_probs(model, [prompt])[0] for prompt in prompts])
    monkeypatch.setattr("tutelage.evaluation.regression.general_text_check.MAX_NODES", 30)
    together = next_log_probs(model, prompts)
    assert (together - alone).abs().max() < 1e-5
    assert together.exp().sum(dim=-1) == pytest.approx(np.ones(9), abs=1e-5)
    assert (next_log_probs(model, prompts[1:] + prompts[:1]) - together).abs().max() > 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def test_passages_are_the_text_and_nothing_else(folder):
    tokenizer = load_tokenizer(folder)
    passages = read_passages(folder, "alpaca")
    texts = general_texts()
    for passage in passages[::10]:
        ids = passage.row.example.response_ids
        assert tokenizer.decode(ids) == passage.row.response
        assert passage.row.response in texts[passage.kind]
        assert PREAMBLE not in tokenizer.decode(passage.row.example.ids)
        assert passage.row.example.prompt_tokens == 1


def test_bits_per_byte_of_a_model_that_guesses_evenly_are_those_of_its_vocabulary():
    model = tiny_model("llama")
    model.module.lm_head.weight.data.zero_()
    row = PreparedRow("", "abc", Example(0, (1, 2, 3, 4), 1, 3))
    found = read_general(
        model, [Passage("prose", row)], [(1, 2), (5,)], progress=lambda doing, total: lambda done: None
    )
    assert found.bits_per_byte == pytest.approx([np.log2(131)])  # three tokens of 131 on three bytes
    assert found.next_log_probs.exp() == pytest.approx(np.full((2, 131), 1 / 131))


def test_a_model_on_padded_rows_gives_the_same_next_tokens():
    model = tiny_model("llama")
    prompts = [example.prompt_ids for example in ragged_examples(8)]
    model.module.set_attn_implementation("eager")
    padded = next_log_probs(replace(model, fallback_reason="it is told so"), prompts)
    assert (padded - next_log_probs(tiny_model("llama"), prompts)).abs().max() < 1e-5
