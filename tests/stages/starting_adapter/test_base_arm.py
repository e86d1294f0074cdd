"""Runs that go on from an adapter: the base arm is the model with that adapter in every figure, not the raw base."""

import math

import numpy as np
import pytest
import torch
from support.further_runs import ROUNDING, finetune, log_probs, weights_of
from support.pairs import preference_values

from tutelage.run.artifacts import Reference, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines


def test_the_settings_and_the_base_model_are_those_of_the_adapter(home, first, second):
    found = second.recipe
    assert (found.adapter.r, found.adapter.lora_alpha, found.adapter.target_modules) == (3, 5, "all-linear")
    assert found.model.adapter == str(first.folder)
    assert found.model.name_or_path == str(home / "tiny")
    assert weights_of(second).keys() == weights_of(first).keys()


def test_base_of_the_second_run_is_the_model_of_the_first(first, second):
    start = log_probs(first.load("tuned"))
    assert torch.equal(log_probs(second.load("base")), start)
    assert (log_probs(first.load("base")) - start).abs().max() > 0.1, "the raw base would pass as well"
    assert (log_probs(second.load("tuned")) - start).abs().max() > 0.01, "nothing was trained"


def test_every_figure_of_the_base_arm_is_that_of_the_first_model(home, first, second):
    """Its answers, the reference of the loss, and what the evaluation says it gave both answers."""
    start, raw = first.load("tuned"), first.load("base")
    rows = read_json_lines(second.folder / "evaluation" / "preferences.jsonl")
    assert len(rows) == 4
    for row in rows:
        pair = preference_values(40)[row["row"]]
        for side in ("chosen", "rejected"):
            assert row["base"][side] == pytest.approx(of_answer(start, pair, side), abs=ROUNDING)
            assert abs(row["base"][side] - of_answer(raw, pair, side)) > 0.1, (
                "the raw base would pass as well"
            )
    for answer in read_json_lines(second.folder / "evaluation" / "base.jsonl"):
        prompt = preference_values(40)[answer["row"]]["prompt"]
        assert answer["response"] == start.generate(prompt)


def of_answer(model, pair, side):
    return sum(model.log_probs(pair["prompt"], pair[side]))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_reference_of_preferences_is_the_first_model(first, second, split):
    run = RunFolder(second.folder)
    found = np.array(getattr(read_artifact(Reference, run.reference), split).log_probs)
    pairs = [preference_values(40)[row["row"]] for row in read_json_lines(run.split(split))]

    def of(model):
        return np.array([[of_answer(model, pair, side) for side in ("chosen", "rejected")] for pair in pairs])

    assert np.abs(found - of(first.load("tuned"))).max() < ROUNDING
    # With the raw base as the reference the margins of the untrained model would not be 0.
    margins = (found - of(first.load("base"))) @ [1, -1]
    assert np.abs(margins).max() > 0.1


def test_before_the_first_step_nothing_is_gained(second):
    first, *_ = (
        one for one in read_json_lines(second.folder / "events.jsonl") if one["event"] == "validation"
    )
    assert (first["step"], first["margin"], first["accuracy"], first["ties"]) == (0, 0, 0, 1)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_a_run_that_learns_nothing_keeps_the_given_adapter_to_the_bit(home, first):
    untouched = finetune(home, "untouched", adapter=first.folder, max_steps=1, learning_rate=1e-30)
    given, kept = weights_of(first), weights_of(untouched)
    assert all(torch.equal(kept[name], given[name]) for name in given)
    assert torch.equal(log_probs(untouched.load()), log_probs(first.load()))
    assert all(
        one["margin"] == 0 for one in read_json_lines(untouched.folder / "evaluation" / "preferences.jsonl")
    )


def test_general_text_is_compared_with_the_first_model(home, first):
    run = finetune(home, "general", adapter=first.folder, max_steps=1, learning_rate=1e-30, general_text=True)
    found = run.evaluation.general_text
    assert (found.difference, found.kl) == (0, 0)
    other = finetune(
        home,
        "first-general",
        data="rows.json",
        name_or_path=str(home / "tiny"),
        r=3,
        max_steps=6,
        general_text=True,
    )
    assert abs(other.evaluation.general_text.difference) > 0.01, "the raw base would pass as well"
