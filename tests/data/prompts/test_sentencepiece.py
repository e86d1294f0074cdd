"""A SentencePiece tokenizer reads a space that nobody wrote before a text; parts of a conversation get no others."""

from dataclasses import replace

import pytest
from support.tiny_sentencepiece import WAYS, sentencepiece_tokenizer
from support.tiny_tokenizer import PHI3, control_ids, random_texts

from tutelage.data.prompts.encoding import ContentEncoder, control_tokens, encode_text
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of

SAID = (
    ("user", "Name a fruit."),
    ("assistant", "An apple."),
    ("user", " 再说一个。 "),
    ("assistant", "A pear."),
)
CONVERSATIONS = {
    "one turn": single_exchange_of(0, "Name a fruit.", "A red one", "A pear."),
    "begins with a space": single_exchange_of(0, " Name a fruit.", "", " A pear."),
    "two turns": Conversation(0, tuple(ChatMessage(role, text) for role, text in SAID)),  # type: ignore[arg-type]
}


@pytest.fixture(scope="module", params=list(WAYS))
def tokenizer(request):
    return sentencepiece_tokenizer(request.param)


def whole(renderer, conversation):
    """Return the ids of a conversation that is read as one text, as a server reads it."""
    answered = renderer.prompt_text(conversation) + conversation.response
    end = renderer.tokenizer.convert_ids_to_tokens(renderer.end_of_turn)
    return renderer.tokenizer.encode(answered + end, add_special_tokens=False)


@pytest.mark.parametrize("style", ["alpaca", "chat"])
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_a_conversation_in_parts_has_the_ids_of_the_whole_text(tokenizer, style, kind):
    renderer = make_renderer(tokenizer, style)
    conversation = CONVERSATIONS[kind]
    ids = list(renderer.example(conversation, train_on="assistant").ids)
    assert ids == whole(renderer, conversation)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_right_behind_a_control_token_has_the_ids_of_the_whole_text(way):
    tokenizer = sentencepiece_tokenizer(way)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|user|>", "<|assistant|>", "<|end|>"]})
    tokenizer.chat_template = PHI3.replace("\n", "")
    renderer = make_renderer(tokenizer, "chat")
    conversation = CONVERSATIONS["two turns"]
    ids = list(renderer.example(conversation, train_on="assistant").ids)
    assert ids == whole(renderer, conversation)


@pytest.mark.parametrize("way", ["prepend", "first", "always"])
def test_parts_that_each_get_a_space_are_caught(way):
    tokenizer = sentencepiece_tokenizer(way)
    renderer = make_renderer(tokenizer, "alpaca")
    core = type(renderer.encoder.core).from_str(tokenizer.backend_tokenizer.to_str())
    core.encode_special_tokens = True
    broken = replace(renderer, encoder=ContentEncoder(core, None))
    conversation = CONVERSATIONS["two turns"]
    assert list(broken.example(conversation, train_on="assistant").ids) != whole(renderer, conversation)


def test_content_never_produces_a_control_token_and_reads_as_it_was_written(tokenizer):
    renderer = make_renderer(tokenizer, "alpaca")
    controls = control_ids(tokenizer)
    spelled = [f"a{token}b {token} c" for token in control_tokens(tokenizer)]
    for text in [*spelled, *random_texts(500, seed=28)]:
        example = renderer.example(single_exchange_of(0, text, "", text), train_on="assistant")
        assert sum(fingerprint in controls for fingerprint in example.ids) == 1  # the end of turn
        read = tokenizer.decode(example.response_ids[:-1])
        assert read == text.removeprefix(" ")  # such a tokenizer takes the first space for its own


def test_a_text_by_itself_still_opens_with_its_space():
    tokenizer = sentencepiece_tokenizer("prepend")
    assert tokenizer.convert_ids_to_tokens(encode_text(tokenizer, "the"))[0].startswith("\u2581")
