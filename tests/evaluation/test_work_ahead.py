"""What is ahead of an evaluation, counted by hand for rows of a few tokens."""

import pytest
from support.rows import write_split

from tutelage.config.recipe import Recipe, TrainingSettings
from tutelage.config.recipe_evaluation import EvalSetSettings, EvaluationSettings
from tutelage.data.dataset.prepared_rows import map_rows
from tutelage.evaluation import work_ahead
from tutelage.evaluation.eval_sets.sets import EvalSet
from tutelage.evaluation.regression.general_text_check import (
    TOKENS_COMPARED,
    general_passages,
    general_prompts,
    some_of,
)
from tutelage.evaluation.work_ahead import EvaluationAhead, answering_work, opening_work, tuned_lengths
from tutelage.objectives import load_objective
from tutelage.run.folder import split_files
from tutelage.training.work import Work, untuned_lengths
from tutelage.tree.examples import Example, PreparedRow, labelled_example

END = 9
ROWS = [
    Example(0, (1, 2, 3, 7, END), prompt_tokens=3, supervised=2),
    Example(1, (1, 2, 4, 8, 8, END), prompt_tokens=3, supervised=3),
]
# The references read 1 2 3 7 and 1 2 4 8 8: seven nodes; the prompts are 1 2 3 and 1 2 4.
READING = Work(nodes=7, targets=5)
PROMPTS = Work(nodes=4)
SETTINGS = EvaluationSettings(max_new_tokens=16, general_text=False, baselines=[])
RECIPE = Recipe(evaluation=SETTINGS)
KNOWN = {"settings": SETTINGS, "knows_lengths": True, "is_padded": False}


class LetterTokenizer:
    """A token for every character."""

    def __call__(self, text):
        return {"input_ids": [ord(letter) for letter in text]}


@pytest.fixture
def prepared(tmp_path):
    def prepare(examples, name="test"):
        write_split(tmp_path, name, [PreparedRow("", "", example) for example in examples])
        return map_rows(split_files(tmp_path, name))

    return prepare


PREFERENCES = RECIPE.model_copy(update={"training": TrainingSettings(objective="dpo")})


def work_of(rows, recipe=RECIPE, sets=(), validation=(), **more):
    options = {"tokenizer": LetterTokenizer(), "is_padded": False, **more}
    part = load_objective(recipe.objective.name).evaluation
    return part.work(EvaluationAhead(recipe, rows, sets, validation=validation or rows[:0], **options))


def test_answers_of_known_lengths_are_decoded_until_the_longest_ends():
    # Reading the prompts gives a token of each, a step the end of the first, and one more that of the second.
    assert answering_work(ROWS, **KNOWN) == READING + PROMPTS + Work(decoding_steps=2)


def test_answers_of_unknown_lengths_go_up_to_the_limit():
    found = answering_work(ROWS, **{**KNOWN, "knows_lengths": False})
    assert sorted(untuned_lengths(2, longest=16)) == [4, 16]
    assert found == READING + PROMPTS + Work(decoding_steps=15)


def test_answers_beyond_a_batch_wait_for_its_slots():
    one_by_one = {**KNOWN, "settings": SETTINGS.model_copy(update={"batch_size": 1})}
    # Each prompt is read by itself, and the steps of one answer come after those of the other.
    assert answering_work(ROWS, **one_by_one) == READING + Work(nodes=6, decoding_steps=1 + 2)


def test_on_padded_rows_every_token_is_a_pass_of_its_own():
    found = answering_work(ROWS, **{**KNOWN, "is_padded": True})
    # Two rows of five places; passes for 2 and 3 tokens, over one and over one and two more than the prompt.
    assert found == Work(nodes=2 * 5 + 1 + 1 + 2, targets=5, decoding_steps=2 + 3)


def test_one_in_a_hundred_tuned_answers_does_not_end():
    lengths = tuned_lengths([3] * 200, longest=50)
    assert (lengths.count(50), lengths.count(3)) == (2, 198)
    assert tuned_lengths([3, 60], longest=50) == [3, 50]


def test_both_models_read_and_answer_the_test_rows(prepared):
    known = answering_work(ROWS, **KNOWN)
    unknown = answering_work(ROWS, **{**KNOWN, "knows_lengths": False})
    assert work_of(prepared(ROWS)) == known + unknown


def test_the_base_model_answers_the_prompts_of_its_baselines(prepared):
    def more(*names, few_shot=3, template="alpaca"):
        evaluation = SETTINGS.model_copy(update={"baselines": [*names], "few_shot": few_shot})
        data = RECIPE.data.model_copy(update={"prompt_template": template})
        recipe = RECIPE.model_copy(update={"evaluation": evaluation, "data": data})
        rows = prepared(ROWS)
        return work_of(rows, recipe) + work_of(rows).times(-1)

    plain = PROMPTS + Work(decoding_steps=15)  # as long as the answers of an untuned model may be
    short = PROMPTS + Work(decoding_steps=2)  # as long as the references
    assert more("input_copy") == Work(), "without validation rows nothing is chosen"
    assert more("chat_template") == plain
    assert more("chat_template", template="chat") == Work(), "it is the prompt of the run"
    examples = 3 * round((5 + 6) / 2)
    assert more("few_shot") == short + Work(nodes=examples), "all prompts share them"
    assert more("few_shot_nearest") == short + Work(nodes=round(work_ahead.DISTINCT_SHARE * examples * 2))
    assert more("few_shot", "few_shot_nearest", few_shot=0) == Work()


def test_a_model_that_is_forgotten_is_caught(prepared):
    assert work_of(prepared(ROWS)).nodes > answering_work(ROWS, **KNOWN).nodes


def test_rows_beyond_the_limit_are_not_asked(prepared):
    one = RECIPE.model_copy(update={"evaluation": SETTINGS.model_copy(update={"limit": 1})})
    rows = prepared(ROWS)
    assert work_of(rows, one) == work_of(rows[:1])


def test_of_very_many_rows_some_are_looked_at(prepared, monkeypatch):
    small = RECIPE.model_copy(update={"evaluation": SETTINGS.model_copy(update={"batch_size": 1})})
    rows = prepared([*ROWS, *ROWS])
    whole = work_of(rows, small)
    monkeypatch.setattr(work_ahead, "ROWS_LOOKED_AT", 2)
    assert work_of(rows, small) == whole == work_of(rows[:2], small).times(2)


@pytest.mark.parametrize("limit", [None, 40])
def test_general_text_is_read_by_both_models_and_every_token_of_it_is_a_target(prepared, limit):
    settings = SETTINGS.model_copy(update={"limit": limit})
    alone = RECIPE.model_copy(update={"evaluation": settings})
    asked = RECIPE.model_copy(update={"evaluation": settings.model_copy(update={"general_text": True})})
    rows = prepared(ROWS)
    more = work_of(rows, asked) + work_of(rows, alone).times(-1)
    passages, prompts = some_of(general_passages(), limit), some_of(general_prompts(), limit)
    assert limit is None or len(passages) == len(prompts) == limit
    letters = sum(len(text) for _, text in passages)
    assert more == Work(
        nodes=2 * (letters + sum(map(len, prompts))),
        targets=2 * (letters + TOKENS_COMPARED * len(prompts)),
    )


def named_set(choices=None):
    settings = EvalSetSettings(source="facts.jsonl", metric="exact_match")
    rows = [PreparedRow("", "", example) for example in ROWS]
    return EvalSet("facts", settings, rows, 0, None, choices)


def test_a_named_set_is_answered_or_its_choices_are_read(prepared):
    rows = prepared(ROWS)
    alone = work_of(rows)
    assert work_of(rows, sets=[named_set()]) == alone.times(2)
    choices = [[PreparedRow("", "", example)] for example in ROWS]
    assert work_of(rows, sets=[named_set(choices)]) == alone + READING.times(2)


def test_of_a_preference_tuning_both_read_the_rejected_answers_and_no_length_is_known(prepared):
    rows = prepared(ROWS)
    pairs = rows.beside("chosen", {"rejected": prepared(ROWS[:1] + ROWS[:1], "rejected")})
    unknown = answering_work(ROWS, **{**KNOWN, "knows_lengths": False})
    # The rejected answers read 1 2 3 7 twice, which is one row of nodes and targets.
    assert work_of(pairs, PREFERENCES) == (unknown + Work(nodes=4, targets=2)).times(2)


CLASSIFICATION = Recipe(training=TrainingSettings(objective="classification"))


@pytest.mark.parametrize(("last", "nodes"), [(1, 4 + 3), (2, 4)])
def test_a_classification_reads_each_text_once_and_for_two_classes_those_that_validate(prepared, last, nodes):
    rows = prepared([labelled_example(0, (1, 2, 3), 0), labelled_example(1, (1, 2, 4), last)])
    validation = prepared([labelled_example(2, (5, 6, 7), 1)], "validation")
    assert work_of(rows, CLASSIFICATION, validation=validation) == Work(nodes=nodes)


def test_opening_takes_longer_the_larger_the_model():
    more = opening_work(10**9).seconds - opening_work(0).seconds
    assert more == pytest.approx(10**9 * work_ahead.OPENING_SECONDS)
