"""The labels of test rows have no say in which baseline is the strongest."""

from types import SimpleNamespace

import numpy as np
import pytest

from tutelage.objectives.classification import evaluation
from tutelage.objectives.classification.baselines import choose_strongest, labels_of_nearest

CLASSES = ["ham", "spam", "advert"]
KINDS = ("see you at home", "win a prize now", "buy one sofa cheap")
# "ham" is by far the most frequent label, and each other label has two rows only.
TRAINING = [
    *((f"{KINDS[0]} {row}", 0) for row in range(20)),
    *((f"{KINDS[1 + row % 2]}", 1 + row % 2) for row in range(4)),
]
VALIDATION = [(KINDS[row % 3], row % 3) for row in range(12)]
TEST = [(KINDS[row % 3], row % 3) for row in range(9)]
POISONED = [(text, 0) for text, _ in TEST]


class Rows(list):
    """Rows with the numbers of their labels, as a prepared split has them."""

    def __init__(self, rows):
        self.labels = np.array([label for _, label in rows])
        super().__init__(
            SimpleNamespace(
                prompt=text, response=CLASSES[label], example=SimpleNamespace(row=place, prompt_ids=(place,))
            )
            for place, (text, label) in enumerate(rows)
        )


def evaluate(monkeypatch, test, validation=VALIDATION):
    """Evaluate a model that gives every row the first class."""
    monkeypatch.setattr(evaluation, "load_classifier", lambda trained: None)
    monkeypatch.setattr(
        evaluation,
        "class_probabilities",
        lambda model, texts, classes, progress: np.tile([0.8, 0.1, 0.1], (len(texts), 1)),
    )
    recipe = SimpleNamespace(
        evaluation=SimpleNamespace(zero_shot=False),
        data=SimpleNamespace(label_separator=None),
        objective=SimpleNamespace(name="classification"),
    )
    splits = {"train": Rows(TRAINING), "validation": Rows(validation), "test": Rows(test)}
    inputs = SimpleNamespace(
        trained=SimpleNamespace(
            recipe=recipe,
            preparation=SimpleNamespace(classes=CLASSES),
            source=SimpleNamespace(is_checked=True),
        ),
        split=splits.__getitem__,
        progress=lambda label, total: None,
        waiting=lambda label: None,
    )
    return evaluation.evaluate_classification(inputs).evaluation


def test_poisoned_test_labels_change_no_choice(monkeypatch):
    clean, poisoned = (evaluate(monkeypatch, test).baselines for test in (TEST, POISONED))
    assert clean.strongest == poisoned.strongest == "nearest"
    assert clean.validation == poisoned.validation
    assert clean.validation["majority"] == pytest.approx(4 / 12)
    assert clean.validation["nearest"] == 1
    assert poisoned.majority.accuracy == 1, "a choice on test rows would take the most frequent label"
    texts, labels = zip(*TRAINING, strict=True)
    asked = [text for text, _ in POISONED]
    given = {"majority": np.zeros(9, dtype=int), "nearest": labels_of_nearest(texts, np.array(labels), asked)}
    assert choose_strongest(np.zeros(9, dtype=int), given, available=9).strongest == "majority"


def test_the_verdict_is_that_against_the_baseline_of_the_validation_rows(monkeypatch):
    found = evaluate(monkeypatch, TEST)
    # Of nine rows the model has three right, the nearest text all nine: p = 2 * (1/2)^6.
    assert found.baselines.nearest.p == pytest.approx(2 / 2**6)
    assert found.verdict == "worse"
    assert "the label of the nearest training text" in found.sentence


def test_nine_validation_rows_are_too_few(monkeypatch):
    found = evaluate(monkeypatch, TEST, VALIDATION[:9])
    assert found.baselines.strongest == "majority"
    assert found.baselines.left_out["majority"].code == "evaluate.too_few_validation_rows"
    assert found.verdict == "no difference detectable"


def test_no_validation_row_and_one_class_only(monkeypatch):
    assert evaluate(monkeypatch, TEST, []).baselines.validation_rows == 0
    assert evaluate(monkeypatch, TEST, [(KINDS[0], 0)] * 10).baselines.strongest == "majority"
