"""Which baseline is the strongest, with a base model whose answers the tests make up."""

import numpy as np
import pytest
from support.rows import make_rows
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.config.recipe import Recipe
from tutelage.data.prompts.prompts import make_renderer
from tutelage.evaluation.baselines.strongest import (
    FEWEST_TO_CHOOSE,
    MOST_BESIDE,
    MOST_TO_CHOOSE,
    find_baselines,
)
from tutelage.evaluation.metrics import load_metric

TOKENIZER = chatml_tokenizer()
EXACT = load_metric("exact_match")
PROMPTED = ("chat_template", "few_shot", "few_shot_nearest")
TRIVIAL = ("most_frequent_answer", "input_copy", "nearest_answer")


def rows_of(numbers, *, answer=lambda n: f"answer {n}", style="alpaca"):
    triples = [(f"Question {n}", f"input {n}", answer(n)) for n in numbers]
    return [row for _, row in make_renderer(TOKENIZER, style).rows(make_rows(triples), train_on="last")]


class Asked:
    """Answers right with those baselines that are named, and keeps what it was asked."""

    def __init__(self, *right):
        self.right, self.names, self.rows = right, [], {}

    def __call__(self, name, label, rows, end_of_turn, shared):
        assert shared == ("nearest" not in name), "examples of its own take memory for each prompt"
        self.names.append(name)
        self.rows[name] = rows
        is_right = name.rpartition("-")[0] in self.right
        return [
            {
                "row": row.example.row,
                "prompt": row.prompt,
                "reference": row.response,
                "response": row.response if is_right else "wrong",
                "response_tokens": 1,
                "stopped": True,
            }
            for row in rows
        ]


def found_with(ask, *, template="alpaca", room=900, evaluation=None, **given):
    """Find the strongest baseline among numbered rows, or those that are given."""
    recipe = Recipe.model_validate({"data": {"prompt_template": template}, "evaluation": evaluation or {}})
    numbers = {"training": range(30), "validation": range(100, 120), "test": range(200, 230), **given}
    parts = {
        name: rows_of(rows, style=template) if isinstance(rows, range) else rows
        for name, rows in numbers.items()
    }
    base = ask("base-test", "", parts["test"], 0, True)
    return find_baselines(
        recipe, **parts, base_answers=base, tokenizer=TOKENIZER, metric=EXACT, room=room, ask=ask
    )


@pytest.mark.parametrize("strongest", [*PROMPTED, "base"])
def test_the_strongest_is_the_best_on_validation_rows_and_is_named(strongest):
    ask = Asked(strongest)
    found = found_with(ask)
    assert found.strongest == strongest
    assert found.validation_rows == 20
    assert list(found.found) == ["base", *PROMPTED, *TRIVIAL]
    one = found.found[strongest]
    assert one.validation == 100
    assert one.label in found.against
    assert "best" in found.against
    assert {other.validation for name, other in found.found.items() if name != strongest} == {0}
    assert [answer["row"] for answer in one.answers] == list(range(30)), "row for row those of the test"


def test_of_equal_baselines_the_plainest_is_the_strongest():
    assert found_with(Asked()).strongest == "base"
    assert found_with(Asked("few_shot", "few_shot_nearest")).strongest == "few_shot"


@pytest.mark.parametrize(
    ("name", "answer", "label"),
    [
        ("most_frequent_answer", lambda n: "the same", "most frequent answer"),
        ("input_copy", lambda n: f"input {n}", "copy of the input"),
    ],
)
def test_an_answer_without_a_model_can_be_the_strongest(name, answer, label):
    found = found_with(
        Asked(),
        training=rows_of(range(30), answer=answer),
        validation=rows_of(range(100, 120), answer=answer),
        test=rows_of(range(200, 230), answer=answer),
    )
    assert found.strongest == name
    assert label in found.against
    assert found.found[name].prompt_template is None


def test_references_of_test_rows_have_no_say():
    before, after = Asked("few_shot"), Asked("few_shot")
    noise = rows_of(range(200, 230), answer=lambda n: "zq ~~ {{{")
    clean, poisoned = found_with(before), found_with(after, test=noise)
    assert (clean.strongest, clean.against) == (poisoned.strongest, poisoned.against)
    assert [one.validation for one in clean.found.values()] == [
        one.validation for one in poisoned.found.values()
    ]
    for name in before.names:
        assert [row.example.prompt_ids for row in before.rows[name]] == [
            row.example.prompt_ids for row in after.rows[name]
        ]
    wrong = found_with(Asked("few_shot"), validation=noise)  # while those of validation rows decide
    assert wrong.found["nearest_answer"].validation == clean.found["nearest_answer"].validation == 0
    same = found_with(Asked(), validation=rows_of(range(20), answer=lambda n: f"answer {n}"))
    assert same.strongest == "nearest_answer"


def test_examples_stand_in_the_better_of_the_two_styles():
    for right, style in (("chat_template", "chat"), ("base", "alpaca")):
        ask = Asked(right)
        found = found_with(ask)
        assert {found.found[name].prompt_template for name in ("few_shot", "few_shot_nearest")} == {style}
        text = TOKENIZER.decode(ask.rows["few_shot-test"][0].example.prompt_ids)
        assert ("### Instruction" in text) == (style == "alpaca")
    assert found_with(Asked(), template="chat").left_out == {}
    assert "chat_template" not in found_with(Asked(), template="chat").found, "it is the prompt of the run"


def test_too_few_validation_rows_choose_nothing():
    ask = Asked("few_shot")
    found = found_with(ask, validation=range(100, 100 + FEWEST_TO_CHOOSE - 1))
    assert found.strongest == "base"
    assert found.validation_rows == 0
    assert "best" not in found.against, "nothing was compared"
    assert found.left_out["base"].code == "evaluate.too_few_validation_rows"
    assert str(FEWEST_TO_CHOOSE) in found.left_out["base"].text
    assert not [name for name in ask.names if name.endswith("-validation")]
    assert set(found.found) == {"base", *PROMPTED, *TRIVIAL}, "the others stand beside it"
    assert found_with(ask, validation=range(100, 100 + FEWEST_TO_CHOOSE)).strongest == "few_shot"


def test_all_test_rows_are_answered_by_the_strongest_and_some_by_the_others():
    test = range(1000, 1000 + MOST_BESIDE + 50)
    ask = Asked("few_shot")
    found = found_with(ask, test=test, validation=range(100, 200))
    assert found.validation_rows == MOST_TO_CHOOSE
    rows = {name: len(one.answers) for name, one in found.found.items()}
    assert rows == {
        **dict.fromkeys([*PROMPTED, *TRIVIAL], MOST_BESIDE),
        "base": len(test),
        "few_shot": len(test),
    }
    places = np.array([answer["row"] for answer in found.found["input_copy"].answers])
    assert (places[0], places[-1]) == (0, len(test) - 1)
    assert np.diff(places).max() <= 2, "evenly spaced"


def test_examples_that_do_not_fit_leave_the_baseline_out_by_name():
    plain = max(row.example.prompt_tokens for row in rows_of(range(200, 230)))
    found = found_with(Asked("base"), room=plain)
    assert {name: one.code for name, one in found.left_out.items()} == dict.fromkeys(
        ["few_shot", "few_shot_nearest"], "evaluate.prompts_exceed_context"
    )
    assert found.strongest == "base"


def test_a_model_without_a_chat_template_is_asked_without_one():
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = None
    rows = rows_of(range(30))
    ask = Asked("base")
    found = find_baselines(
        Recipe.model_validate({"data": {"prompt_template": "alpaca"}}),
        training=rows,
        validation=rows,
        test=rows,
        base_answers=ask("base-test", "", rows, 0, True),
        tokenizer=tokenizer,
        metric=EXACT,
        room=900,
        ask=ask,
    )
    assert found.left_out["chat_template"].code.startswith("template.")
    assert "few_shot" in found.found


@pytest.mark.parametrize(
    ("evaluation", "names"),
    [
        ({"few_shot": 0}, {"base", "chat_template", *TRIVIAL}),
        ({"baselines": ["input_copy"]}, {"base", "input_copy"}),
        ({"few_shot": 2}, {"base", *PROMPTED, *TRIVIAL}),
    ],
)
def test_settings_say_which_baselines_there_are(evaluation, names):
    found = found_with(Asked("base"), evaluation=evaluation)
    assert set(found.found) == names
    if "few_shot" in names:
        assert found.found["few_shot"].examples == 2
        assert "2 examples" in found.found["few_shot"].label


def test_rows_without_a_question_have_no_baselines():
    rows = [type(row)(row.prompt, row.response, row.example) for row in rows_of(range(30))]
    assert found_with(Asked(), test=rows) is None


def test_plain_text_among_the_training_rows_is_no_example():
    row, *others = rows_of(range(20))
    text = type(row)("", "Just a text.", row.example)
    ask = Asked("base")
    found = found_with(ask, training=[text, *others])
    for name in ("few_shot-test", "few_shot_nearest-test"):
        assert not any("Just a text." in one.prompt for one in ask.rows[name])
    assert all(answer["response"] != "Just a text." for answer in found.found["nearest_answer"].answers)
    assert found_with(ask, training=[text]) is None
