"""Test rows that are near-duplicates of training rows, and the metrics with and without them."""

import numpy as np
import pytest
from support.fake_examples import PREAMBLE

from tutelage.data.quality.near_duplicates import near_duplicates
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.rows.conversations import Conversation, messages_of
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import PairedScores
from tutelage.evaluation.paired import training_overlap as overlap
from tutelage.evaluation.paired.training_overlap import (
    near_duplicates_of_training,
    overlap_sentence,
    training_overlap,
)
from tutelage.evaluation.stats.intervals import t_interval
from tutelage.run.figures import TrainingOverlap
from tutelage.tree.examples import Example, PreparedRow

KETTLE = "Convert the temperature of the water in the kettle from {} degrees Celsius to Fahrenheit."
SYSTEM = " ".join(f"Rule {number}: keep to chapter {number**3} of the handbook." for number in range(12))


def rows_of(*instructions, system="", answers=()):
    """Return prepared rows, whose rendered prompts all share a preamble; `answers` are earlier turns."""
    before = [{"role": "system", "content": system}] if system else []
    for question, answer in answers:
        before += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [
        PreparedRow(
            f"{PREAMBLE}\n\n### Instruction:\n{text}\n\n### Response:\n",
            "An answer.",
            Example(number, (1, 2), 1, 1),
            (*before, {"role": "user", "content": text}),
        )
        for number, text in enumerate(instructions)
    ]


def near(test, training):
    found = near_duplicates_of_training(test, training)
    return [row.example.row in found for row in test]


def test_equal_and_nearly_equal_prompts_are_near_duplicates_and_the_template_makes_none():
    test = rows_of("name a BIRD", KETTLE.format(26), "What is the capital of Peru?", "?")
    assert near(test, rows_of("Name a bird.", "Name a tree.", KETTLE.format(25), "!")) == [
        True,
        True,
        False,
        False,
    ]
    assert near(test, rows_of("?")) == [False, False, False, True]


def test_near_duplicates_among_the_test_rows_alone_do_not_count():
    assert near(rows_of(KETTLE.format(26), KETTLE.format(27)), rows_of("Name a bird.")) == [False, False]
    assert near(rows_of("Name a bird."), []) == [False]


def test_a_long_system_text_makes_no_prompts_alike(monkeypatch):
    training = rows_of("How much is book b?", "Name a bird.", system=SYSTEM)
    test = rows_of("Where do I find the till?", "how much is book b", system=SYSTEM)
    assert near(test, training) == [False, True]
    monkeypatch.setattr(overlap, "compared_prompt", normalised_prompt)
    assert near(test, training) == [True, True], "the broken variant, which compares whole prompts alone"


def test_the_same_question_after_another_conversation_is_no_near_duplicate():
    first, second = [("Who wrote Emma?", "Jane Austen.")], [("Name a planet with rings.", "Saturn.")]
    training = rows_of("Where was that?", answers=first)
    assert near(rows_of("where was that", answers=first), training) == [True]
    assert near(rows_of("Where was that?", answers=second), training) == [False]


def test_the_rule_is_that_of_check():
    """Every pair that `near_duplicates` finds within one source is found between two, and no other."""
    texts = [KETTLE.format(25), KETTLE.format(26), "Name a bird.", "Name a bird or a tree.", "name a bird!"]
    rows = rows_of(*texts, system=SYSTEM)
    whole = [Conversation(place, messages_of(row.messages)) for place, row in enumerate(rows)]
    pairs = {(one, other) for one in range(5) for other in range(5) if near([rows[one]], [rows[other]])[0]}
    expected = {
        (one, other)
        for one in range(5)
        for other in range(5)
        if one == other or len(near_duplicates([whole[one], whole[other]]))
    }
    assert pairs == expected
    assert {(0, 1), (2, 4)} < pairs < {(one, other) for one in range(5) for other in range(5)}


def scores_of(base, tuned):
    rows = np.arange(len(base))
    return PairedScores(
        tuple(100 + rows),
        {"chrf": np.array(base, float)},
        {"chrf": np.array(tuned, float)},
        rows,
        rows.astype(float),
        rows.astype(float),
    )


@pytest.fixture
def scores():
    """Return 40 rows, of which the first ten gained 50 and the others nothing on average."""
    chance = np.random.default_rng(3)
    noise = chance.normal(size=40)
    gain = np.where(np.arange(40) < 10, 50.0, 0.0)
    return scores_of(np.full(40, 30.0), 30 + gain + noise - noise[10:].mean())


def figures(scores, near, **settings):
    record = training_overlap(scores, load_metric("chrf"), near, training_rows=900, **settings)
    return TrainingOverlap.model_validate(record)


def test_the_metric_is_that_of_all_rows_and_of_the_rest(scores):
    is_near = np.arange(40) < 10
    found = figures(scores, range(100, 110))
    assert (found.rows, found.training_rows, found.row_numbers) == (10, 900, [*range(100, 110)])
    for group, kept in ((found.all, np.ones(40, bool)), (found.without, ~is_near)):
        base, tuned = scores.base["chrf"][kept], scores.tuned["chrf"][kept]
        assert group.rows == kept.sum()
        assert (group.base, group.tuned) == pytest.approx((base.mean(), tuned.mean()))
        assert group.difference == pytest.approx((tuned - base).mean(), abs=1e-9)
        assert (group.low, group.high) == pytest.approx(t_interval(tuned - base, np.arange(kept.sum())))
    assert (found.all.verdict, found.without.verdict) == ("better", "no difference detectable")


def test_the_difference_is_from_the_baseline_that_the_verdict_compares_with(scores):
    baseline = scores.base["chrf"] + 50
    found = figures(scores, range(100, 110), baseline=baseline)
    assert (found.all.base, found.without.base) == (80, 80)
    assert found.all.difference == pytest.approx((scores.tuned["chrf"] - baseline).mean())
    assert figures(scores, range(100, 110)).all.base == 30


def test_figures_of_the_wrong_rows_are_caught(scores):
    right, turned = (figures(scores, near) for near in (range(100, 110), range(110, 140)))
    assert turned.without.difference == pytest.approx(50, abs=2)
    assert right.without.difference == pytest.approx(0, abs=1e-9)


def test_the_sentence_says_how_many_and_whether_the_verdict_rests_on_them(scores):
    metric = load_metric("chrf")
    found = figures(scores, range(100, 110))
    change = f"{found.all.difference:+.1f}"
    assert overlap_sentence(found, metric) == (
        "10 of 40 test rows are near-duplicates of training rows."
        f" chrF changes by {change} on all rows and by +0.0 without them; without them the verdict would be"
        " “no difference detectable” instead of “better”."
    )
    one = overlap_sentence(figures(scores, [120]), metric)
    assert one.startswith("1 of 40 test rows is a near-duplicate of training rows. chrF changes by ")
    assert one.endswith("without it; the verdict would be the same without it.")
    nothing = figures(scores, [])
    assert (nothing.rows, nothing.all, nothing.without) == (0, None, None)
    assert overlap_sentence(nothing, metric) == (
        "No test row is a near-duplicate of any of the 900 training rows."
    )
    everything = figures(scores, range(100, 140))
    assert everything.without is None
    assert overlap_sentence(everything, metric).endswith("No test row is left without them.")
