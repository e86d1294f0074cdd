"""Text that is sent while an answer grows: never taken back, never half a character, never a stop string."""

import pytest
from support.tiny_tokenizer import chatml_tokenizer, random_texts

from tutelage.serve.answer_text import UNFINISHED, AnswerText

TOKENIZER = chatml_tokenizer()
TEXTS = ["The plural is cacti.", "naïve 你好 👩‍👩‍👧 ok", "a  b\n\n c", *random_texts(40, seed=4)]


def ids_of(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


def sent(text, *, stop=(), reader=AnswerText):
    growing = reader(TOKENIZER, stop)
    parts = []
    for token in ids_of(text):
        parts.append(growing.add(token))
        if growing.is_stopped:
            break
    return [*parts, growing.finish()]


def whole(text):
    return TOKENIZER.decode(ids_of(text), skip_special_tokens=True)


@pytest.mark.parametrize("text", TEXTS)
def test_the_parts_are_the_whole_and_no_character_is_split(text):
    parts = sent(text)
    assert "".join(parts) == whole(text)
    assert UNFINISHED not in "".join(parts) or UNFINISHED in whole(text)


def test_parts_that_are_decoded_each_by_itself_are_caught():
    text = "naïve 你好"
    apart = "".join(TOKENIZER.decode([token]) for token in ids_of(text))
    assert UNFINISHED in apart and apart != whole(text)


@pytest.mark.parametrize("stop", ["###", "\n\n", "plural", "is c", "."])
@pytest.mark.parametrize("text", ["The plural is cacti.\n\n### Instruction:\nWrite.", "# ## ### a"])
def test_nothing_is_sent_from_a_stop_string_on(text, stop):
    assert "".join(sent(text, stop=(stop,))) == whole(text).split(stop)[0]


def test_of_two_stop_strings_the_first_in_the_text_counts():
    assert "".join(sent("one two three", stop=("three", "two"))) == "one "


def test_a_stop_string_over_the_border_of_tokens_is_held_back_until_it_is_known():
    text = "see ## and no more"
    parts = sent(text, stop=("###",))
    assert "".join(parts) == text
    growing = AnswerText(TOKENIZER, ("###",))
    begun = "".join(growing.add(token) for token in ids_of("see ##"))
    assert begun == "see "
