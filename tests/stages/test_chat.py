"""A conversation with each model of a run: what an answer is asked with, what is remembered, and how one is stopped."""

from tutelage.run.lines import read_json_lines
from tutelage.serve.generation_requests import Piece
from tutelage.stages.chat import Talk


class Served:
    """Renders a conversation as the words of its turns, one id for each character."""

    def prompt_of_messages(self, turns):
        return tuple(ord(character) for turn in turns for character in turn.text)

    def tokens_left_after(self, prompt, wanted):
        return 100 - len(prompt)


class Engine:
    """Answers with two pieces, and keeps what it was asked and what was cancelled."""

    def __init__(self):
        self.asked = []
        self.cancelled = 0

    def ask(self, question, tell):
        self.asked.append(question)
        tell(Piece("Oh, ", 1))
        tell(Piece("yes.", 2, finish_reason="stop"))
        return self.cancel

    def cancel(self):
        self.cancelled += 1


def text_of(question):
    return "".join(map(chr, question.prompt))


def test_a_model_sees_what_was_said_with_it_and_no_other():
    talk = Talk(Served(), Engine(), most_tokens=50)
    answer = "".join(piece.text for piece in talk.ask("tuned", "One?"))
    assert answer == "Oh, yes."
    talk.remember("tuned", "One?", answer)
    for variant in ("tuned", "base"):
        assert list(talk.ask(variant, "Two?"))
    assert [(one.variant, text_of(one)) for one in talk.engine.asked] == [
        ("tuned", "One?"),
        ("tuned", "One?Oh, yes.Two?"),
        ("base", "Two?"),
    ]
    assert [one.max_new_tokens for one in talk.engine.asked] == [50, 50, 50]
    assert talk.engine.cancelled == 0
    talk.forget()
    assert talk.is_empty


def test_an_answer_has_what_room_is_left():
    talk = Talk(Served(), Engine(), most_tokens=99)
    list(talk.ask("tuned", "Four"))
    assert talk.engine.asked[0].max_new_tokens == 100 - len("Four")


def test_an_answer_that_nobody_takes_further_is_stopped():
    talk = Talk(Served(), Engine(), most_tokens=50)
    pieces = talk.ask("tuned", "One?")
    assert next(pieces).text == "Oh, "
    pieces.close()
    assert talk.engine.cancelled == 1
    assert talk.is_empty


def test_a_conversation_is_saved_as_messages(tmp_path):
    talk = Talk(Served(), Engine(), most_tokens=50)
    talk.remember("base", "One?", "Yes.")
    talk.save(tmp_path / "talk.jsonl")
    assert read_json_lines(tmp_path / "talk.jsonl") == [
        {
            "model": "base",
            "messages": [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Yes."}],
        }
    ]
