"""Answers and reference log-probabilities of test rows, against the hand-written loop."""

from dataclasses import replace

import pytest
import torch
from support.tiny_models import (
    END,
    FAMILIES,
    greedy_one_by_one,
    log_probs_token_by_token,
    ragged_examples,
    tiny_model,
)

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.evaluation.answers.responses import collect_responses, reference_log_probs
from tutelage.tree.examples import Example, PreparedRow


class JoinedTokenizer:
    def decode(self, ids, *, skip_special_tokens):
        assert skip_special_tokens
        return "-".join(map(str, ids))


def prepared(examples: list[Example]) -> list[PreparedRow]:
    return [PreparedRow(f"prompt {example.row}", f"响应 {example.row}", example) for example in examples]


def everything_supervised(examples: list[Example]) -> list[Example]:
    return [replace(example, supervised=len(example.ids) - 1) for example in examples]


def hand_sums(module, examples) -> torch.Tensor:
    """Sum the log-probabilities of response and end of turn, whatever training supervises."""
    with torch.no_grad():
        return torch.stack(
            [
                log_probs_token_by_token(module, example)[-len(example.response_ids) :].sum()
                for example in examples
            ]
        )


def largest_difference(module, found: list[float], examples) -> float:
    return (torch.tensor(found, dtype=torch.float64) - hand_sums(module, examples)).abs().max().item()


@pytest.mark.parametrize("nodes", [2048, 25])
@pytest.mark.parametrize("train_on", ["assistant", "all"])
@pytest.mark.parametrize("family", FAMILIES)
def test_reference_log_probabilities_are_the_hand_sums_over_the_response_alone(
    family, train_on, nodes, monkeypatch
):
    monkeypatch.setattr("tutelage.model.answer_log_probs.MAX_NODES", nodes)
    model = tiny_model(family)
    examples = ragged_examples(16, seed=2)
    if train_on == "all":
        examples = everything_supervised(examples)
    found = reference_log_probs(model, prepared(examples))
    assert largest_difference(model.module, found, examples) < 1e-9


def test_reference_log_probabilities_that_take_in_the_prompt_are_caught(monkeypatch):
    monkeypatch.setattr(Example, "with_response_supervised", lambda example: example)
    model = tiny_model("llama")
    examples = everything_supervised(ragged_examples(8))
    found = reference_log_probs(model, prepared(examples))
    assert largest_difference(model.module, found, examples) > 1


def test_reference_log_probabilities_in_the_order_of_the_runs_are_caught():
    model = tiny_model("llama")
    examples = ragged_examples(8)
    in_order_of_runs = sorted(examples, key=lambda example: example.ids)
    assert in_order_of_runs != examples
    found = reference_log_probs(model, prepared(in_order_of_runs))
    assert largest_difference(model.module, found, examples) > 1


def test_a_record_holds_the_answer_and_the_reference_of_its_own_row():
    model = tiny_model("llama")
    examples = ragged_examples(10, seed=4)
    endless = [greedy_one_by_one(model.module, example.prompt_ids, max_new_tokens=6) for example in examples]
    end = endless[0][2]
    bars: dict[str, list[int]] = {}
    records = collect_responses(
        model,
        prepared(examples),
        EvaluationSettings(max_new_tokens=6, batch_size=3),
        JoinedTokenizer(),
        end_tokens=[end],
        progress=lambda doing, total: bars.setdefault(f"{doing} of {total}", []).append,
    )
    assert {name: sum(done) for name, done in bars.items()} == {
        "scores the references of 10": 10,
        "answers of 10": 10,
    }
    sums = hand_sums(model.module, examples).tolist()
    for record, example, answer, log_prob in zip(records, examples, endless, sums, strict=True):
        stopped = end in answer
        ids = answer[: answer.index(end)] if stopped else answer
        assert record.pop("reference_log_prob") == pytest.approx(log_prob, abs=1e-9)
        assert record == {
            "row": example.row,
            "prompt": f"prompt {example.row}",
            "reference": f"响应 {example.row}",
            "response": "-".join(map(str, ids)),
            "response_tokens": len(ids),
            "stopped": stopped,
            "reference_bytes": 3 + 3 + 1 + 1 + 1,  # two Chinese characters, a space, a digit, the end of turn
        }
    assert len({record["stopped"] for record in records}) == 2


def test_a_prompt_that_another_row_goes_on_from_is_answered_by_itself():
    model = tiny_model("gpt2")
    short = Example(0, (1, 2, 3, END), 2, 2)
    longer = Example(1, (1, 2, 3, 4, 5, END), 4, 2)
    together = reference_log_probs(model, prepared([short, longer]))
    alone = [reference_log_probs(model, prepared([example]))[0] for example in (short, longer)]
    assert together == pytest.approx(alone, abs=1e-12)
