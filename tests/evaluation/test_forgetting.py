import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import ttest_rel
from support.fake_examples import PREAMBLE
from support.tiny_models import ragged_examples, tiny_model
from support.tiny_tokenizer import write_tiny_model

from tutelage.data.examples import Example, PreparedRow
from tutelage.evaluation.forgetting import (
    Passage,
    Reading,
    general_texts,
    judge_forgetting,
    kl_divergence,
    next_log_probs,
    open_passages,
    passage_rows,
    read_passages,
)
from tutelage.model.loading import load_tokenizer

PASSAGES = [
    Passage("code" if index % 2 else "prose", PreparedRow("", "text", Example(index, (1, 2, 3), 1, 2)))
    for index in range(120)
]


def reading(bits):
    return Reading(bits, torch.full((120, 4), 0.25).log())


def changed(by, spread=0.05):
    chance = np.random.default_rng(0)
    base = chance.uniform(0.8, 1.6, 120)
    return base, base + by + chance.normal(0, spread, 120)


def judged(by, spread=0.05):
    base, tuned = changed(by, spread)
    return judge_forgetting(PASSAGES, reading(base), reading(tuned), margin=0.1)


@pytest.mark.parametrize(
    ("by", "spread", "verdict"),
    [
        (0.0, 0.05, "kept"),
        (-0.2, 0.05, "kept"),
        (0.08, 0.05, "kept"),
        (0.1, 0.05, "undecided"),
        (0.02, 0.9, "undecided"),  # not seen is not ruled out
        (0.2, 0.05, "lost"),
    ],
)
def test_no_regression_is_claimed_only_where_the_whole_interval_is_below_the_margin(by, spread, verdict):
    assert judged(by, spread)["verdict"] == verdict


def test_a_test_of_difference_would_have_claimed_no_regression_wrongly():
    base, tuned = changed(0.02, 0.9)
    assert ttest_rel(tuned, base).pvalue > 0.05
    assert judged(0.02, 0.9)["verdict"] == "undecided"


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
    found = judge_forgetting(PASSAGES, reading(base), reading(base), margin=0.1)
    assert (found["verdict"], found["difference"], found["high"], found["kl"]) == ("kept", 0, 0, 0)


def test_a_handful_of_passages_claims_nothing():
    base, tuned = changed(0)
    few = [Reading(bits[:29], torch.zeros(29, 1)) for bits in (base, tuned)]
    assert judge_forgetting(PASSAGES[:29], *few, margin=0.1) is None


def test_the_divergence_is_from_the_base_to_the_tuned_model():
    chance = np.random.default_rng(1)
    base, tuned = chance.dirichlet(np.ones(7), 5), chance.dirichlet(np.ones(7), 5)
    found = kl_divergence(torch.from_numpy(base).log(), torch.from_numpy(tuned).log())
    assert found == pytest.approx(rel_entr(base, tuned).sum(axis=1))
    assert found != pytest.approx(rel_entr(tuned, base).sum(axis=1))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_next_tokens_over_a_tree_are_those_of_each_prompt_alone(family, monkeypatch):
    model = tiny_model(family)
    prompts = [example.prompt_ids for example in ragged_examples(9)]
    alone = torch.stack([next_log_probs(model, [prompt])[0] for prompt in prompts])
    monkeypatch.setattr("tutelage.evaluation.forgetting.MAX_NODES", 30)
    together = next_log_probs(model, prompts)
    assert (together - alone).abs().max() < 1e-5
    assert together.exp().sum(dim=-1) == pytest.approx(np.ones(9), abs=1e-5)
    assert (next_log_probs(model, prompts[1:] + prompts[:1]) - together).abs().max() > 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def test_passages_are_the_text_and_nothing_else(folder):
    tokenizer = load_tokenizer(folder)
    passages = open_passages(folder, "alpaca")
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
    found = read_passages(model, [Passage("prose", row)], progress=lambda doing, total: lambda done: None)
    assert found.bits_per_byte == pytest.approx([np.log2(131)])  # three tokens of 131 on three bytes


def test_a_model_on_padded_rows_gives_the_same_next_tokens():
    model = tiny_model("llama")
    prompts = [example.prompt_ids for example in ragged_examples(8)]
    model.module.set_attn_implementation("eager")
    padded = next_log_probs(replace(model, padded_because="it is told so"), prompts)
    assert (padded - next_log_probs(tiny_model("llama"), prompts)).abs().max() < 1e-5
