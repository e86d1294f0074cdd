"""The numbers of labels and of sets of labels, in the order in which they are first seen."""

import time
from types import SimpleNamespace

import pytest

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.row_encoder import Labels
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.objectives.classification import rows as module
from tutelage.objectives.classification.rows import encode_texts
from tutelage.tree.examples import labelled_example

RENDERER = SimpleNamespace(tokenizer=None)


@pytest.fixture(autouse=True)
def _one_token(monkeypatch):
    monkeypatch.setattr(module, "text_ids", lambda tokenizer, text, *, token: [1])


def rows(labels):
    return [
        Conversation(row, (ChatMessage("user", "a text"), ChatMessage("assistant", label)), "text-label")
        for row, label in enumerate(labels)
    ]


def numbers(labels, classes, sets, **settings):
    found = encode_texts(RENDERER, rows(labels), DataSettings(**settings), Labels(classes, sets))
    return [row.example.label for _, (row,) in found]


def test_numbers_go_on_from_the_labels_that_are_known():
    classes = ["a"]
    assert numbers(["b", "a", "b", "c"], classes, []) == [1, 0, 1, 2]
    assert numbers(["d", "c"], classes, []) == [3, 2]
    assert classes == ["a", "b", "c", "d"]


def test_sets_have_numbers_of_their_own():
    classes, sets = [], []
    assert numbers(["a;b", "b", "a;b"], classes, sets, label_separator=";") == [0, 1, 0]
    assert (classes, sets) == (["a", "b"], [(0, 1), (1,)])


def test_splits_that_are_read_in_turns_share_their_labels():
    known = Labels()
    one, other = (
        encode_texts(RENDERER, rows(labels), DataSettings(), known) for labels in (["a", "c"], ["b", "c"])
    )
    found = [next(split)[1][0].example.label for split in (one, other, one, other)]
    assert found == [0, 1, 2, 2]


def test_many_labels_take_linear_time():
    begin = time.process_time()
    assert numbers((f"label {place}" for place in range(15_000)), [], []) == list(range(15_000))
    assert time.process_time() - begin < 3  # a look through the list for each takes several times as long


@pytest.mark.parametrize(("ids", "read", "predicted"), [((4, 5, 6), (4, 5), (5, 6)), ((4,), (4,), (4,))])
def test_a_text_proves_a_model_by_its_own_tokens_and_never_by_its_label(ids, read, predicted):
    plain = labelled_example(3, ids, 1).without_label()
    assert (plain.row, plain.read_ids, plain.target_ids, plain.label) == (3, read, predicted, None)
