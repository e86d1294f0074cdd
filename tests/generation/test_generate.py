"""Batched greedy answers against one prompt at a time without a cache, and whether the end of a turn is learnt."""

from collections import Counter
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from support.tiny_models import END, FAMILIES, greedy_one_by_one, ragged_examples, tiny_model
from transformers import DynamicCache

from tutelage.config.recipe import TrainingSettings
from tutelage.generation.generate import Response, answer_texts, generate
from tutelage.generation.sampling import Sampling
from tutelage.generation.slots import Slots
from tutelage.model.forward import CausalModel
from tutelage.training.optimizer import make_optimizer
from tutelage.training.step import optimizer_step
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge_prompts

LONGEST = 12
PROMPTS = [example.ids[:-1] for example in ragged_examples(40, seed=5)]


@cache
def reference(family: str) -> tuple[int, list[Response]]:
    """Return an end of turn that comes at many different places, and the answers that it gives."""
    module = tiny_model(family).module
    endless = [greedy_one_by_one(module, prompt, max_new_tokens=LONGEST) for prompt in PROMPTS]
    places = {
        token: {answer.index(token) for answer in endless if token in answer} for token in range(END + 1)
    }
    end = max(places, key=lambda token: len(places[token]))
    answers = [
        Response(tuple(answer[: answer.index(end)]), end=end)
        if end in answer
        else Response(tuple(answer), end=None)
        for answer in endless
    ]
    return end, answers


def answers_that_differ(family: str, model: CausalModel, *, batch_size: int) -> int:
    end, expected = reference(family)
    found = generate(model, PROMPTS, end_tokens=[end], max_new_tokens=LONGEST, batch_size=batch_size)
    return sum(one != other for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_answers_end_at_many_places_and_some_never_do(family):
    _, answers = reference(family)
    assert len(PROMPTS) >= 30
    assert len({len(prompt) for prompt in PROMPTS}) > 5
    assert len({len(answer.ids) for answer in answers if answer.stopped}) >= 3
    assert any(not answer.stopped for answer in answers)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_batched_answers_are_those_of_one_prompt_at_a_time(family, batch_size):
    assert answers_that_differ(family, tiny_model(family), batch_size=batch_size) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefill_in_several_trees_gives_the_same_answers(family, monkeypatch):
    monkeypatch.setattr("tutelage.generation.continuous_batch.MAX_NODES", 30)
    assert answers_that_differ(family, tiny_model(family), batch_size=64) == 0


WINDOW = 40


@pytest.fixture
def windowed():
    """A model whose layers see the last 40 tokens, which is more than any row has here."""
    assert max(map(len, PROMPTS)) + LONGEST <= WINDOW < len(merge_prompts(PROMPTS).token_ids)
    return tiny_model("qwen2", use_sliding_window=True, sliding_window=WINDOW, max_window_layers=0)


def test_a_prefill_of_more_nodes_than_a_window_forgets_none(windowed):
    assert answers_that_differ("qwen2", windowed, batch_size=64) == 0


def test_a_cache_of_the_models_own_making_would_forget_nodes(windowed, monkeypatch):
    """The broken variant."""
    own = partial(DynamicCache, config=windowed.module.config)
    monkeypatch.setattr("tutelage.model.forward.DynamicCache", own)
    with pytest.raises(IndexError):
        answers_that_differ("qwen2", windowed, batch_size=64)


def positions_count_padding(arguments):
    columns = arguments["attention_mask"].shape[-1]
    return {"position_ids": torch.full_like(arguments["position_ids"], columns - 1)}


def padding_is_seen(arguments):
    return {"attention_mask": torch.ones_like(arguments["attention_mask"])}


def positions_stand_still(arguments):
    return {"position_ids": (arguments["position_ids"] - 1).clamp(min=0)}


@pytest.mark.parametrize("fault", [positions_count_padding, padding_is_seen, positions_stand_still])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_decoding_step_is_caught(family, fault):
    model = tiny_model(family)

    def spoil(module, positional, arguments):
        is_decoding = arguments["input_ids"].shape[1] == 1
        return positional, arguments | (fault(arguments) if is_decoding else {})

    model.module.register_forward_pre_hook(spoil, with_kwargs=True)
    assert answers_that_differ(family, model, batch_size=64) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_slots_that_answer_another_prompt_are_caught(family, monkeypatch):
    keep = Slots.keep
    monkeypatch.setattr(Slots, "keep", lambda slots, kept: keep(slots, kept)[::-1])
    assert answers_that_differ(family, tiny_model(family), batch_size=64) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slot_that_keeps_the_keys_of_its_last_row_is_caught(family, monkeypatch):
    fill = Slots.fill

    def only_the_first_time(slots, places, layers, lengths, follows):
        if slots._layers:
            slots.lengths[list(places)] = torch.tensor(lengths)
        else:
            fill(slots, places, layers, lengths, follows=follows)

    monkeypatch.setattr(Slots, "fill", only_the_first_time)
    assert answers_that_differ(family, tiny_model(family), batch_size=4) > 0


def test_answers_come_in_the_order_of_the_prompts_and_progress_counts_them_all():
    end, expected = reference("llama")
    finished = []
    backwards = generate(
        tiny_model("llama"),
        PROMPTS[::-1],
        end_tokens=[end],
        max_new_tokens=LONGEST,
        batch_size=16,
        progress=finished.append,
    )
    assert backwards == expected[::-1]
    assert sum(finished) == len(PROMPTS)


def test_an_answer_is_cut_at_its_longest_and_is_then_not_stopped():
    end, expected = reference("llama")
    for longest in (1, 2, 5):
        found = generate(
            tiny_model("llama"), PROMPTS, end_tokens=[end], max_new_tokens=longest, batch_size=64
        )
        for answer, whole in zip(found, expected, strict=True):
            is_whole = whole.stopped and len(whole.ids) < longest
            assert answer == (whole if is_whole else Response(whole.ids[:longest], end=None))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_drawn_does_not_depend_on_what_else_is_answered(family):
    end, greedy = reference(family)
    sampling = Sampling(temperature=1.5, top_k=20, seed=3)

    def drawn(batch_size: int, sampling: Sampling) -> list[Response]:
        return generate(
            tiny_model(family),
            PROMPTS,
            end_tokens=[end],
            max_new_tokens=LONGEST,
            batch_size=batch_size,
            sampling=sampling,
        )

    together = drawn(64, sampling)
    assert drawn(3, sampling) == together
    assert drawn(64, replace(sampling, seed=4)) != together
    assert together != greedy
    assert drawn(7, replace(sampling, temperature=0)) == greedy


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_weights_with_bfloat16_products_answer_as_full_tuning_asks_of_them(family):
    model = tiny_model(family, dtype=torch.float32, compute_dtype=torch.bfloat16)
    prompts = [example.prompt_ids for example in ragged_examples(8)]
    answers = generate(model, prompts, end_tokens=[END], max_new_tokens=6, batch_size=3)
    with model.autocast():
        for prompt, answer in zip(prompts, answers, strict=True):
            first = greedy_one_by_one(model.module, prompt, max_new_tokens=1)
            assert (list(answer.ids) or [END])[0] == first[0]


def test_no_prompts_have_no_answers():
    assert generate(tiny_model("llama"), [], end_tokens=[END], max_new_tokens=3, batch_size=4) == []


def test_texts_are_decoded_from_the_answer_alone():
    class Joined:
        def decode(self, ids, *, skip_special_tokens):
            assert skip_special_tokens
            return " ".join(map(str, ids))

    end, expected = reference("gpt2")
    texts = answer_texts(
        tiny_model("gpt2"),
        PROMPTS,
        tokenizer=Joined(),
        end_tokens=[end],
        max_new_tokens=LONGEST,
        batch_size=8,
    )
    assert texts == [" ".join(map(str, answer.ids)) for answer in expected]


def test_a_model_with_dropout_answers_without_it():
    end, expected = reference("gpt2")
    model = tiny_model("gpt2")
    for part in model.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.5
    model.module.train()
    found = generate(model, PROMPTS, end_tokens=[end], max_new_tokens=LONGEST, batch_size=64)
    assert found == expected


def eight_rows() -> list[Example]:
    """Rows with different prompts and responses of 1 to 8 tokens before the end of turn."""
    drawn = ragged_examples(8, seed=9)
    return [
        Example(row, (7, 8, 20 + row, *drawn[row].ids[:length], END), prompt_tokens=3, supervised=length + 1)
        for row, length in enumerate(range(1, 9))
    ]


def answers_after_learning(family: str, rows: list[Example]) -> list[Response]:
    """Learn rows by heart and answer their prompts."""
    model = tiny_model(family, dtype=torch.float32)
    optimizer = make_optimizer(model.module, TrainingSettings(learning_rate=5e-3))
    for _ in range(60):
        result = optimizer_step(model, rows, optimizer, micro_batch_size=8, max_grad_norm=1.0)
    assert result.loss < 0.05
    prompts = [row.prompt_ids for row in rows]
    return generate(model, prompts, end_tokens=[END], max_new_tokens=16, batch_size=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_learnt_eight_rows_by_heart_repeats_them_and_stops_by_itself(family):
    rows = eight_rows()
    answers = answers_after_learning(family, rows)
    assert Counter(answer.stopped for answer in answers) == {True: 8}
    assert [(*answer.ids, END) for answer in answers] == [row.response_ids for row in rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_whose_end_of_turn_is_not_supervised_is_caught(family):
    rows = [replace(row, ids=row.ids[:-1], supervised=row.supervised - 1) for row in eight_rows()]
    answers = answers_after_learning(family, rows)
    assert sum(answer.stopped for answer in answers) == 0


def test_an_answer_ends_at_the_first_of_several_end_tokens():
    model = tiny_model("llama")
    endless = [greedy_one_by_one(model.module, prompt, max_new_tokens=LONGEST) for prompt in PROMPTS]
    ends = [endless[0][2], endless[1][1]]
    found = generate(model, PROMPTS, end_tokens=ends, max_new_tokens=LONGEST, batch_size=4)
    for answer, whole in zip(found, endless, strict=True):
        places = [place for place, token in enumerate(whole) if token in ends]
        assert answer.ids == tuple(whole[: places[0]] if places else whole)
        assert answer.end == (whole[places[0]] if places else None)
    assert {answer.end for answer in found} >= {*ends}
