import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_chrf
from support.fake_examples import example
from support.fake_run import answer

from tutelage.config.extensions import METRICS
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.errors import RunFolderError
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.bits_per_byte import bits_per_byte
from tutelage.evaluation.metrics.chrf import chrf
from tutelage.evaluation.metrics.exact_match import exact_match
from tutelage.evaluation.metrics.metrics import score, score_rows
from tutelage.evaluation.metrics.rouge_l import rouge_l
from tutelage.evaluation.metrics.token_f1 import token_f1
from tutelage.evaluation.metrics.words import words

VOCABULARY = ("the", "a", "cat", "Dog", "sat,", "on", "mat.", "under_score", "it's", "3.14", "--", "(run)")


def ascii_pairs(count):
    chance = random.Random(0)
    for _ in range(count):
        yield tuple(" ".join(chance.choices(VOCABULARY, k=chance.randint(0, 12))) for _ in range(2))


def test_rouge_l_equals_rouge_score_on_ascii_text():
    reference = RougeScorer(["rougeL"])
    for response, wanted in ascii_pairs(500):
        expected = reference.score(wanted, response)["rougeL"].fmeasure
        if not words(wanted) or not words(response):
            expected = float(response.split() == wanted.split())  # which rouge-score gives 0
        assert rouge_l(response, wanted) == pytest.approx(expected, abs=1e-6)


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_text_are_those_of_rouge_score(text):
    from rouge_score.tokenize import tokenize

    assert words(text) == tokenize(text, None)


def test_chrf_equals_sacrebleu():
    for response, wanted in ascii_pairs(500):
        assert chrf(response, wanted) == pytest.approx(sentence_chrf(response, [wanted]).score, abs=1e-6)


def test_shared_words_and_equal_texts_are_counted_as_plainly_as_can_be():
    for response, wanted in ascii_pairs(500):
        left, shared = words(wanted), 0
        for word in words(response):
            if word in left:
                left.remove(word)
                shared += 1
        longest = len(words(response)) + len(words(wanted))
        assert token_f1(response, wanted) == pytest.approx(2 * shared / longest if longest else 1, abs=1e-6)
        assert exact_match(response, wanted) == (response.split() == wanted.split())


def test_rouge_score_alone_would_give_chinese_nothing():
    assert RougeScorer(["rougeL"]).score("我喜欢读书", "我喜欢读书")["rougeL"].fmeasure == 0
    assert rouge_l("我喜欢读书", "我喜欢读书") == 1


def test_chinese_counts_by_characters():
    # 我 喜 欢 are shared, in this order: 3 of 5 on each side.
    assert words("我喜欢读书。") == ["我", "喜", "欢", "读", "书"]
    assert token_f1("我喜欢跑步", "我喜欢读书") == pytest.approx(0.6)
    assert rouge_l("我喜欢跑步", "我喜欢读书") == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GPT-4很好", ["gpt", "4", "很", "好"]),
        ("Straße", ["strasse"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("한국어 공부", ["한국어", "공부"]),
        ("カナ", ["カ", "ナ"]),
        ("ｶﾅ", ["ｶ", "ﾅ"]),
        ("ภาษาไทย", list("ภาษาไทย")),
        ("ဗမာစာ", list("ဗမာစာ")),
        ("ㄅㄆ", ["ㄅ", "ㄆ"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("مرحبا بك", ["مرحبا", "بك"]),
        ("❤️ 👍🏽 1️⃣", ["1\ufe0f\u20e3"]),  # a mark that colours an emoji is no word
    ],
)
def test_words_of_other_scripts(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "👍",
        "❤️",
        "+",
        "---",
        "…",
        "",
        "我喜欢读书。",
        "ภาษาไทย",
        "हिन्दी",
        "مرحبا",
        "Ελλάς",
        "한국어",
        "ｶﾅ",
        "²",
        "cafe\u0301",
        "𓀀",
    ],
)
@pytest.mark.parametrize("metric", [rouge_l, token_f1, exact_match])
def test_equal_texts_of_any_script_have_the_full_score_and_others_not(metric, text):
    assert metric(text, text) == 1
    assert metric("x", text) == 0
    assert metric("☀️", text) == 0


def test_two_encodings_of_one_text_are_equal():
    for metric in (rouge_l, token_f1, exact_match):
        assert metric("cafe\u0301", "caf\u00e9") == 1
        assert metric("cafe", "caf\u00e9") == 0
    assert chrf("cafe\u0301", "caf\u00e9") == pytest.approx(100)


def test_exact_match_forgives_white_space_only():
    assert exact_match("  two\n words ", "two words")
    assert not exact_match("Two words", "two words")
    assert not exact_match("two words.", "two words")


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("the cat sat", "The cat sat!", 1),
        ("a b c d", "a b", 2 / 3),  # precision 2/4, recall 2/2
        ("yes yes yes", "yes", 0.5),  # a repeated word counts once: precision 1/3, recall 1
        ("", "", 1),
        ("", "word", 0),
        ("+", "+", 1),
        ("+", "-", 0),
    ],
)
def test_token_f1_by_hand(response, reference, expected):
    assert token_f1(response, reference) == pytest.approx(expected)


def test_bits_per_byte_of_a_uniform_guess_over_bytes_is_eight():
    assert bits_per_byte(10 * math.log(1 / 256), 10) == pytest.approx(8)


def test_shares_and_overlaps_are_out_of_a_hundred():
    perfect = score(answer(example(0, "Say hi.", "hi there"), "hi there", nats=0.0))
    assert perfect == {
        "exact_match": 100,
        "token_f1": 100,
        "rouge_l": 100,
        "chrf": 100,
        "stopped": 100,
        "bits_per_byte": 0,
    }


def test_every_metric_of_the_recipe_is_declared():
    for name in METRICS:
        assert EvaluationSettings(primary_metric=name).primary_metric == load_metric(name).name == name


def test_a_fall_in_bits_per_byte_is_a_gain():
    assert load_metric("bits_per_byte").gain(-0.5) == 0.5
    assert load_metric("chrf").gain(-0.5) == -0.5


def answers(responses):
    return [answer(example(row, f"Name {row}.", f"name {row}"), text) for row, text in responses.items()]


def test_rows_are_paired_by_id_and_not_by_position():
    base = answers({3: "wrong", 1: "name 1", 2: "wrong"})
    tuned = answers({1: "wrong", 2: "name 2", 3: "name 3"})
    scores = score_rows(base, tuned)
    assert scores.rows == (1, 2, 3)
    assert scores.base["exact_match"].tolist() == [100, 0, 0]
    assert scores.tuned["exact_match"].tolist() == [0, 100, 100]


def test_a_row_with_one_answer_is_an_error_that_names_it():
    with pytest.raises(RunFolderError, match="row 2 for one"):
        score_rows(answers({1: "a", 2: "b"}), answers({1: "a"}))


def test_a_repeated_row_is_an_error_that_names_it():
    with pytest.raises(RunFolderError, match="base model's answers hold row 1 more than once"):
        score_rows(answers({1: "a"}) * 2, answers({1: "a"}))
