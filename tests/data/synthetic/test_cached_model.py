import json

import pytest
from support.fake_chat import FakeChat

from tutelage.data.synthetic.cached_model import RememberingModel, fingerprint_of, object_schema, texts_of
from tutelage.errors import LanguageModelError
from tutelage.llm.language_models import ChatModel

QUESTION = [{"role": "user", "content": "你好 😀"}]


def remembering(cache, chat, name="openai:m@http://127.0.0.1:1/v1", temperature=0.5):
    def load_model():
        chat.opened += 1
        return ChatModel(name, chat)

    return RememberingModel(name, load_model, cache=cache, temperature=temperature, max_tokens=9)


def ask(model, *, messages=QUESTION, seed=1, field="a"):
    return model.ask(messages, seed=seed, json_schema=object_schema(field))


def test_the_same_question_is_put_once_and_any_other_anew(tmp_path):
    chat = FakeChat(lambda question: f"reply {question.seed} 早")
    model = remembering(tmp_path, chat)
    assert [ask(model), ask(model)] == ["reply 1 早"] * 2
    assert (model.asked, model.remembered, len(chat.questions)) == (1, 1, 1)
    ask(model, seed=2)
    ask(model, field="b")
    ask(model, messages=[*QUESTION, *QUESTION])
    ask(remembering(tmp_path, chat, temperature=0))
    ask(remembering(tmp_path, chat, name="openai:n@http://127.0.0.1:1/v1"))
    assert len(chat.questions) == 6


def test_a_model_whose_replies_are_all_known_is_not_opened(tmp_path):
    chat = FakeChat(lambda question: "reply")
    ask(remembering(tmp_path, chat))
    again = remembering(tmp_path, chat)
    assert ask(again) == "reply"
    assert chat.opened == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"reply": 5}', '{"rep'])
def test_a_damaged_reply_is_asked_for_again(tmp_path, damage):
    chat = FakeChat(lambda question: "reply")
    ask(remembering(tmp_path, chat))
    (path,) = (tmp_path / "responses").iterdir()
    path.write_text(damage)
    assert ask(remembering(tmp_path, chat)) == "reply"
    assert len(chat.questions) == 2
    assert json.loads(path.read_text(encoding="utf-8"))["reply"] == "reply"


def test_a_fault_says_that_what_was_answered_is_kept(tmp_path):
    def reply(question):
        if question.seed == 3:
            raise LanguageModelError("llm.no_reply", "It is down.")
        return "reply"

    chat = FakeChat(reply)
    model = remembering(tmp_path, chat)
    ask(model, seed=1)
    ask(model, seed=2)
    with pytest.raises(
        LanguageModelError, match="It is down. The 2 responses so far are kept. Run the same command"
    ):
        ask(model, seed=3)
    chat.reply = lambda question: "up again"
    assert [ask(remembering(tmp_path, chat), seed=seed) for seed in (1, 2, 3)] == [
        "reply",
        "reply",
        "up again",
    ]


def test_a_file_is_known_by_its_bytes_and_named_without_its_place(tmp_path):
    path = tmp_path / "judge.gguf"
    path.write_bytes(b"GGUF one")
    before = fingerprint_of(f"gguf:{path}")
    path.rename(tmp_path / "other.gguf")
    assert fingerprint_of(f"gguf:{tmp_path / 'other.gguf'}") == before
    path.write_bytes(b"GGUF two")
    assert fingerprint_of(f"gguf:{path}") != before
    assert remembering(tmp_path, FakeChat(str), name=f"gguf:{path}").name == "gguf:judge.gguf"


@pytest.mark.parametrize(
    "reply", ["", "a", "[]", '{"a": 1}', '{"b": "x"}', "[" * 5000, '```json\n{"a": "x"}\n``` Done.']
)
def test_a_reply_that_is_not_what_was_asked_for_gives_no_texts(reply):
    assert texts_of(reply, "a") is None
    for wrapped in ('{"a": " x ", "b": 5}', '```json\n{"a": "x"}\n```', '<think>{}</think>{"a": "x"}'):
        assert texts_of(wrapped, "a") == {"a": "x"}
