import pytest
from support.tiny_tokenizer import chatml_tokenizer, phi3_tokenizer

from tutelage.data.dataset.sample_prompt import LONGEST, SamplePrompt, choose_sample_prompt, choose_text
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.tree.examples import Example, PreparedRow

STYLES = ("alpaca", "alpaca-compact", "phi3", "chat")
HARD = 'Say "it\'s" in `x` for $HOME & more\\n!'


def prepared(renderer, conversations):
    return [row for _, row in renderer.rows(conversations, train_on="assistant")]


def chosen(renderer, *asked):
    rows = [single_exchange_of(row, text, given, "yes") for row, (text, given) in enumerate(asked)]
    return choose_sample_prompt(prepared(renderer, rows), renderer)


@pytest.fixture(scope="module", params=STYLES)
def renderer(request):
    return make_renderer(phi3_tokenizer() if request.param == "phi3" else chatml_tokenizer(), request.param)


@pytest.mark.parametrize(
    "asked", [("Who?", ""), (HARD, ""), ("Name it.", "A cat.\nA dog."), (HARD, HARD), ("-x", "-y")]
)
def test_what_is_chosen_gets_the_ids_of_its_row(renderer, asked):
    row = single_exchange_of(0, *asked, "yes")

    found = choose_sample_prompt(prepared(renderer, [row]), renderer)

    assert found is not None
    again = renderer.prompt_ids(single_exchange_of(0, found.text, found.input, ""))
    assert again == renderer.prompt_ids(row)
    broken = renderer.prompt_ids(single_exchange_of(0, f"{found.text}?", found.input, ""))
    assert broken != again


def test_the_instruction_and_the_input_are_those_of_the_row(renderer):
    assert chosen(renderer, ("Name it.", "A cat.")) == SamplePrompt("Name it.", "A cat.")
    assert chosen(renderer, ("Name it.\n\n### Input:\nA cat.", "")) == SamplePrompt(
        "Name it.\n\n### Input:\nA cat."
    )


def test_the_first_row_of_a_comfortable_length_on_one_line_is_taken(renderer):
    rows = [("long " * 60, ""), ("two\nlines", ""), ("The first one.", ""), ("Short.", "")]

    assert chosen(renderer, *rows) == SamplePrompt("The first one.")
    assert chosen(renderer, *rows[:1], ("longer " * 60, "")) == SamplePrompt("long " * 60)


@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u202e", "\u2028", "\u2029", "\x00", "\x1b", "\x85", "\t", "\ue000", "\ufeff"]
)
def test_a_row_that_a_terminal_does_not_show_as_it_is_is_left_out(renderer, hidden):
    assert chosen(renderer, (f"Who{hidden}?", "")) is None
    assert chosen(renderer, (f"Who{hidden}?", ""), ("And who else?", "")) == SamplePrompt("And who else?")


def test_a_row_too_long_to_paste_is_left_out(renderer):
    assert chosen(renderer, ("w" * LONGEST, "")) == SamplePrompt("w" * LONGEST)
    assert chosen(renderer, ("w" * (LONGEST + 1), "")) is None


def test_what_one_instruction_does_not_ask_in_full_is_left_out(renderer):
    said = [
        ChatMessage("user", "One?"),
        ChatMessage("assistant", "Yes."),
        ChatMessage("user", "Two?"),
        ChatMessage("assistant", "Yes."),
    ]
    several = Conversation(0, tuple(said), format="messages")
    with_system = Conversation(1, (ChatMessage("system", "Be brief."), *said[:2]), format="messages")
    text = Conversation(2, (ChatMessage("assistant", "Once upon a time."),), format="text")

    assert choose_sample_prompt(prepared(renderer, [several, with_system, text]), renderer) is None


def test_a_text_is_chosen_as_a_question_is():
    def row(text):
        return PreparedRow(text, "spam", Example(0, (1, 2), 1, 1))

    assert choose_text([row("a\nb"), row("w" * 300), row("Call now!"), row("Hi")]) == SamplePrompt(
        "Call now!"
    )
    assert choose_text([row("a\u200bb"), row(" "), row("w" * (LONGEST + 1))]) is None
    assert choose_text([]) is None
