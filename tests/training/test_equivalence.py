"""The table that shows a model's user that every way gives the same step, and that it would show it if one did not."""

import pytest
import torch
from support.tiny_models import ragged_examples, tiny_model

from tutelage.model.sources import ModelSource
from tutelage.training import equivalence
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.equivalence import compare_ways, count_ways
from tutelage.training.objective import LossOutput, Objective

EXAMPLES = ragged_examples(8, seed=4)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def source(request, tmp_path_factory) -> ModelSource:
    folder = tmp_path_factory.mktemp(request.param)
    module = tiny_model(request.param, dtype=torch.float32).module
    for parameter in module.parameters():
        # The weights of the tiny models are so large that the rounding of bfloat16 would hide a fault.
        parameter.data *= 0.25
    module.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return ModelSource(folder, "a-model", "0" * 64, None)


def test_every_way_gives_the_same_step(source):
    found = list(compare_ways(source, EXAMPLES))
    assert len(found) == count_ways(EXAMPLES) == len({(one.dtype, one.way) for one in found})
    assert all(one.is_within for one in found)
    assert (found[0].loss, found[0].gradients) == (0.0, 0.0)
    rounded = [one.gradients for one in found if one.dtype == "bfloat16"]
    exact = [one.gradients for one in found if one.dtype == "float32"]
    assert min(rounded) > 10 * max(exact)


def test_a_mean_of_the_micro_batches_own_means_is_shown(source, monkeypatch):
    def of_its_own_batch(model, tree, units, *, normalizer, statistic, log_probs):
        return LossOutput(-log_probs(model, tree).mean() / 2)

    monkeypatch.setattr(equivalence, "CROSS_ENTROPY", Objective(of_its_own_batch, CROSS_ENTROPY.normalizer))
    wrong = [one for one in compare_ways(source, EXAMPLES) if not one.is_within]
    assert {one.dtype for one in wrong} == {"float32", "bfloat16"}


def test_padding_that_is_read_is_shown(source, monkeypatch):
    right = equivalence.padded_log_probs

    def reads_padding(model, tree, *, padding):
        found = right(model, tree, padding=padding)
        return found * (1 + 0.1 * padding)

    monkeypatch.setattr(equivalence, "padded_log_probs", reads_padding)
    wrong = [one for one in compare_ways(source, EXAMPLES) if not one.is_within]
    assert {one.way for one in wrong} == {f"1 x 8, padded rows, {more} more columns" for more in (7, 50)}
