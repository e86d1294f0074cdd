"""The prompts of baselines: examples as earlier turns, as many as fit."""

import pytest
from support.rows import make_rows
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.data.prompts.prompts import make_renderer
from tutelage.evaluation.baselines.baseline import TrainingRows
from tutelage.evaluation.baselines.few_shot import shared_examples
from tutelage.evaluation.baselines.few_shot_nearest import nearest_examples
from tutelage.evaluation.baselines.prompts import make_prompts

RENDERERS = {style: make_renderer(chatml_tokenizer(), style) for style in ("alpaca", "chat")}


def prepared(triples, style="chat"):
    return [row for _, row in RENDERERS[style].rows(make_rows(triples), train_on="last")]


TRAINING = prepared([(f"Spell {word}", "", " ".join(word)) for word in ("fig", "plum", "kiwi", "pear")])
ASKED = prepared([("Spell lime", "quickly", "l i m e"), ("Spell a long word, quince", "", "q u i n c e")])
ROOMY = {"room": 1000, "is_shared": True}


@pytest.mark.parametrize("style", RENDERERS)
def test_examples_stand_before_the_question_as_turns_with_their_end(style):
    renderer = RENDERERS[style]
    found = make_prompts(renderer, ASKED, [TRAINING[:2]] * 2, **ROOMY)
    assert found.examples == 2
    for row, asked in zip(found.rows, ASKED, strict=True):
        assert (row.example.row, row.response) == (asked.example.row, asked.response)
        ids = row.example.prompt_ids
        assert ids.count(renderer.end_of_turn) >= 2, "a model sees where each example ends"
        text = renderer.tokenizer.decode(ids)
        places = [text.index(part) for part in ("Spell fig", "f i g", "Spell plum", "p l u m")]
        assert places == sorted(places)
        assert text.index("p l u m") < text.index("lime" if asked is ASKED[0] else "quince")
        assert asked.response not in text, "the reference is not shown"


def test_without_examples_the_prompt_is_that_of_the_style():
    found = make_prompts(RENDERERS["alpaca"], ASKED, [[], []], **ROOMY)
    assert [row.example.prompt_ids for row in found.rows] == [
        row.example.prompt_ids
        for row in prepared(
            [("Spell lime", "quickly", "l i m e"), ("Spell a long word, quince", "", "q u i n c e")],
            "alpaca",
        )
    ]


def test_the_first_examples_give_way_where_a_prompt_is_too_long():
    whole = make_prompts(RENDERERS["chat"], ASKED, [TRAINING] * 2, **ROOMY)
    lengths = [row.example.prompt_tokens for row in whole.rows]
    room = max(lengths) - 1
    shared = make_prompts(RENDERERS["chat"], ASKED, [TRAINING] * 2, room=room, is_shared=True)
    assert shared.examples == 3
    assert all(row.example.prompt_tokens <= room for row in shared.rows)
    texts = [RENDERERS["chat"].tokenizer.decode(row.example.prompt_ids) for row in shared.rows]
    assert not any("Spell fig" in text for text in texts), "all prompts show the same examples"
    own = make_prompts(RENDERERS["chat"], ASKED, [TRAINING] * 2, room=room, is_shared=False)
    texts = [RENDERERS["chat"].tokenizer.decode(row.example.prompt_ids) for row in own.rows]
    assert sorted("Spell fig" in text for text in texts) == [False, True], "the shorter one keeps all"


def test_a_question_that_does_not_fit_alone_leaves_the_baseline_out():
    longest = max(row.example.prompt_tokens for row in ASKED)
    assert make_prompts(RENDERERS["chat"], ASKED, [TRAINING] * 2, room=longest, is_shared=True).examples == 0
    assert make_prompts(RENDERERS["chat"], ASKED, [TRAINING] * 2, room=longest - 1, is_shared=True) is None


def test_shared_examples_have_as_many_different_answers_as_there_are():
    rows = prepared(
        [(f"Is {n} odd?", "", "yes" if n % 2 else "no") for n in range(20)] + [("Is x odd?", "", "?")]
    )
    for seed in range(5):
        [first, second] = shared_examples(TrainingRows(rows, seed=seed), ASKED, 3)
        assert first == second
        assert {row.response for row in first} == {"yes", "no", "?"}
    assert shared_examples(TrainingRows(rows, seed=1), ASKED, 3) != shared_examples(
        TrainingRows(rows, seed=2), ASKED, 3
    )
    assert len(shared_examples(TrainingRows(rows, seed=1), ASKED, 50)[0]) == len(rows)


def test_nearest_examples_end_with_the_nearest_and_begin_alike():
    rows = prepared(
        [
            ("What is the capital of Peru?", "", "Lima"),
            ("Which city is the capital of Chile?", "", "Santiago"),
            ("Who wrote Hamlet?", "", "Shakespeare"),
            ("Who wrote Faust?", "", "Goethe"),
        ]
    )
    asked = prepared([("What is the capital of Cuba?", "", "Havana"), ("Who wrote Emma?", "", "Austen")])
    capitals, books = nearest_examples(TrainingRows(rows, seed=0), asked, 2)
    assert [row.response for row in capitals] == ["Santiago", "Lima"]
    assert {row.response for row in books} == {"Shakespeare", "Goethe"}
    both = nearest_examples(TrainingRows(rows, seed=0), asked, 4)
    assert [len(one) for one in both] == [4, 4]
    assert nearest_examples(TrainingRows(rows, seed=0), asked, 0) == [[], []]
