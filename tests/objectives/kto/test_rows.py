"""Rows with a label, from their values to what is prepared on the disk."""

import pytest
from support.rows import make_records, write_split
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.prepared_rows import map_rows
from tutelage.data.dataset.row_encoder import Labels
from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts.prompts import make_renderer
from tutelage.errors import DataError
from tutelage.objectives.kto.rows import ROWS
from tutelage.run.folder import split_files

ASKED = [{"role": "user", "content": "Name a fruit."}]
TALK = [
    *ASKED,
    {"role": "assistant", "content": "No."},
    {"role": "user", "content": "Please."},
    {"role": "assistant", "content": "A pear."},
]
VALUES = [
    {"prompt": "Name a fruit.", "completion": "A pear.", "label": True},
    {"prompt": "Name a fruit.", "completion": "No.", "label": False},
    {"prompt": ASKED, "completion": [{"role": "assistant", "content": "A pear."}], "label": False},
    {"messages": TALK, "label": True},
]


@pytest.fixture
def renderer():
    return make_renderer(chatml_tokenizer(), "chat")


@pytest.fixture
def prepared(renderer, tmp_path):
    rows = read_conversations(make_records(VALUES), source="rows.jsonl", needs_labels=True).rows
    made = [row for _, (row,) in ROWS.encode(renderer, rows, DataSettings(), Labels())]
    write_split(tmp_path, "train", made)
    opened = map_rows(split_files(tmp_path, "train"))
    assert list(opened) == made
    return opened


def test_labels_stand_beside_their_answers_on_the_disk(prepared):
    assert [example.is_desirable for example in prepared.examples] == [True, False, False, True]
    assert prepared.labels.tolist() == [1, 0, 0, 1]


def test_a_row_of_messages_is_the_row_of_the_same_texts(prepared):
    texts, messages = prepared.example(0), prepared.example(2)
    assert (texts.ids, texts.prompt_tokens) == (messages.ids, messages.prompt_tokens)


def test_of_a_conversation_the_last_answer_alone_is_supervised(prepared, renderer):
    example = prepared.example(3)
    assert example.earlier_spans == ()
    assert example.supervised == len(example.response_ids)
    assert renderer.tokenizer.decode(example.response_ids) == "A pear.<|im_end|>"
    assert "No." in renderer.tokenizer.decode(example.prompt_ids)


def test_a_row_that_nobody_labelled_is_refused(renderer):
    rows = read_conversations(make_records(VALUES), source="rows.jsonl", keeps_fields=True).rows
    with pytest.raises(DataError) as fault:
        list(ROWS.encode(renderer, rows, DataSettings(), Labels()))
    assert (fault.value.code, fault.value.row) == ("data.kto_label_missing", 0)
