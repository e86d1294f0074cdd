"""Labels that were answered in writing, against counts by hand and scikit-learn."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score

from tutelage.evaluation.metrics import label_answers
from tutelage.evaluation.metrics.label_answers import MOST_LABELS, compare_labels
from tutelage.run.figures import LabelFigures

TRAINED = ["ham", "spam", "news", "advert"]
# Reference and answer of ten rows.
ROWS = [
    *[("ham", "ham")] * 4,
    ("ham", "spam"),
    ("ham", "It is ham."),  # no label
    ("spam", " spam\n"),  # blanks do not count
    ("spam", "ham"),
    ("spam", "Spam"),  # case counts, so that this is no label
    ("news", "advert"),  # a label of the training rows alone
]
LABELS = ["advert", "ham", "news", "spam"]
#                 advert ham news spam other
CONFUSION = [
    [0, 0, 0, 0, 0],  # advert
    [0, 4, 0, 1, 1],  # ham
    [1, 0, 0, 0, 0],  # news
    [0, 1, 0, 1, 1],  # spam
]
RIGHT = 5
# 2 × hits / (wanted + given): ham 2 × 4 / (6 + 5), spam 2 × 1 / (3 + 2), news and advert 0.
MACRO_F1 = (Fraction(8, 11) + Fraction(2, 5) + 0 + 0) / 4


def answers(rows):
    return [{"row": n, "reference": one, "response": other} for n, (one, other) in enumerate(rows)]


def figures(rows=ROWS, base=ROWS):
    return compare_labels(answers(base), answers(rows), TRAINED)


def test_accuracy_macro_f1_and_matrix_are_those_counted_by_hand():
    found = figures()["tuned"]
    wilson = stats.binomtest(RIGHT, len(ROWS)).proportion_ci(method="wilson")
    assert found["accuracy"] == pytest.approx({"value": 0.5, "low": wilson.low, "high": wilson.high})
    assert found["macro_f1"] == pytest.approx(float(MACRO_F1))
    assert [one["label"] for one in found["classes"]] == LABELS
    assert found["confusion"] == CONFUSION
    assert found["rows"] == len(ROWS)
    assert LabelFigures.model_validate(found).others == 2


def test_macro_f1_and_matrix_are_those_of_scikit_learn():
    chance = np.random.default_rng(5)
    wanted = chance.choice(TRAINED[:3], 200).tolist()
    given = chance.choice([*TRAINED, "what?", ""], 200).tolist()
    found = figures([*zip(wanted, given, strict=True)], [*zip(wanted, wanted, strict=True)])["tuned"]
    assert found["macro_f1"] == pytest.approx(f1_score(wanted, given, labels=LABELS, average="macro"))
    mapped = [one if one in LABELS else "other" for one in given]
    expected = confusion_matrix(wanted, mapped, labels=[*LABELS, "other"])
    assert found["confusion"] == expected[: len(LABELS)].tolist()


def test_a_label_that_only_the_other_model_gave_does_not_lower_macro_f1():
    right = [(wanted, wanted) for wanted, _ in ROWS]
    found = figures(right, base=ROWS)
    assert [one["label"] for one in found["tuned"]["classes"]] == LABELS
    assert found["tuned"]["macro_f1"] == 1
    assert found["base"]["macro_f1"] == pytest.approx(float(MACRO_F1))


def test_a_model_that_gives_no_label_has_nothing_right():
    found = figures(ROWS, base=[(wanted, "I do not know.") for wanted, _ in ROWS])["base"]
    assert (found["accuracy"]["value"], found["macro_f1"]) == (0, 0)
    assert [counts[-1] for counts in found["confusion"]] == [0, 6, 1, 3]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("same_text", lambda text: text),  # blanks count
        ("same_text", lambda text: text.strip().casefold()),  # case does not
        (
            "confusion_matrix",
            lambda wanted, given, count: np.bincount(given * count + wanted, minlength=count**2).reshape(
                count, count
            ),
        ),
    ],
)
def test_a_broken_count_is_caught_by_the_rows(monkeypatch, name, broken):
    monkeypatch.setattr(label_answers, name, broken)
    found = figures()["tuned"]
    assert (found["confusion"], found["macro_f1"]) != (CONFUSION, pytest.approx(float(MACRO_F1)))


def test_micro_or_weighted_f1_is_another_number():
    wanted = [wanted for wanted, _ in ROWS]
    given = [given.strip() for _, given in ROWS]
    for average in ("micro", "weighted"):
        assert f1_score(wanted, given, labels=LABELS, average=average) != pytest.approx(float(MACRO_F1))
    # Nor is it the mean with the answers that are no label as labels, each with an F1 of 0.
    assert f1_score(wanted, given, average="macro") != pytest.approx(float(MACRO_F1))


def test_too_many_labels_have_no_figures():
    rows = [(str(number), "0") for number in range(MOST_LABELS + 1)]
    assert figures(rows, rows) is None
    assert figures(rows[1:], rows[1:]) is not None
