from dataclasses import replace
from itertools import cycle

import pytest
from support.book_data import book_file
from support.tiny_tokenizer import (
    TOKENIZERS,
    chatml_tokenizer,
    control_ids,
    phi3_tokenizer,
    random_texts,
    trimming_tokenizer,
    whitespace_eating_tokenizer,
)
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts import prompts
from tutelage.data.prompts.encoding import control_tokens, encode_text
from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.data.sources.sources import read_source
from tutelage.errors import ModelError

STYLES = ("alpaca", "alpaca-compact", "phi3", "chat")
SPECIAL_STRINGS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|begin_of_text|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<s>",
    "</s>",
    "[INST]",
)
CARRIER = "Say this again, please"
FIELDS = ("instruction", "input", "output")
RANDOM_TEXTS = random_texts(2000, seed=28)
CHAT_CASES = [*TOKENIZERS.values(), whitespace_eating_tokenizer]

ROW_50 = """\
Below is an instruction that describes a task.Write a response that appropriately completes the request.

### Instruction:
Identify the correct spelling of the following word.

### Input:
Ocassion

### Response:
The correct spelling is 'Occasion.'"""
ROW_999 = """\
Below is an instruction that describes a task.Write a response that appropriately completes the request.

### Instruction:
What is an antonym of 'complicated'?

### Response:
An antonym of 'complicated' is 'simple'."""


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]()


def row(instruction="Name a fruit.", input="", output="A pear."):
    return single_exchange_of(0, instruction, input, output)


def count_controls(tokenizer, ids):
    controls = control_ids(tokenizer)
    return sum(fingerprint in controls for fingerprint in ids)


@pytest.mark.parametrize(("number", "text"), [(50, ROW_50), (999, ROW_999)])
def test_rows_of_the_book_read_exactly_as_the_article_prints_them(number, text, tmp_path):
    source = read_source(str(book_file()), cache=tmp_path)
    rows = read_conversations(source.records, source=source.name).rows
    tokenizer = chatml_tokenizer()
    renderer = make_renderer(tokenizer, "alpaca-compact")
    assert renderer.prompt_text(rows[number]) + rows[number].response == text
    # The ids say the same to the byte, and after them comes the end of turn alone.
    *ids, end = renderer.example(rows[number], train_on="assistant").ids
    assert (tokenizer.decode(ids), tokenizer.decode([end])) == (text, "<|im_end|>")


def test_alpaca_has_the_space_of_stanford_and_of_the_book():
    prompt = make_renderer(chatml_tokenizer(), "alpaca").prompt_text(row(input="Pears or plums?"))
    assert prompt == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nName a fruit.\n\n### Input:\nPears or plums?\n\n### Response:\n"
    )


@pytest.mark.parametrize(
    ("input", "text"),
    [
        ("", "<|user|>\nName a fruit.\n<|assistant|>\n"),
        ("A red one.", "<|user|>\nName a fruit.\nA red one.\n<|assistant|>\n"),
    ],
)
def test_phi3_has_the_wording_of_the_book(input, text):
    tokenizer = phi3_tokenizer()
    renderer = make_renderer(tokenizer, "phi3")
    assert renderer.prompt_text(row(input=input)) == text
    assert tokenizer.decode(renderer.prompt_ids(row(input=input))) == text


def test_phi3_markers_are_control_tokens_where_the_tokenizer_has_them_and_text_where_it_has_not():
    phi3, chatml = phi3_tokenizer(), chatml_tokenizer()
    assert count_controls(phi3, make_renderer(phi3, "phi3").prompt_ids(row())) == 2
    assert phi3.convert_ids_to_tokens(make_renderer(phi3, "phi3").end_of_turn) == "<|end|>"
    assert count_controls(chatml, make_renderer(chatml, "phi3").prompt_ids(row())) == 0
    assert make_renderer(chatml, "phi3").end_of_turn == chatml.eos_token_id


@pytest.mark.parametrize("make", CHAT_CASES)
@pytest.mark.parametrize("question", [row(), row(input="One of\n\tthese: pear, plum."), row("  spaces  ")])
def test_chat_equals_what_transformers_makes_of_the_models_own_template(make, question):
    tokenizer = make()
    renderer = make_renderer(tokenizer, "chat")
    content = question.messages[0].content
    user = {"role": "user", "content": content}
    assistant = {"role": "assistant", "content": question.response}
    wanted = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert _untrimmed(renderer.prompt_text(question), make) == _untrimmed(wanted, make)
    if content.strip() == content:
        assert renderer.prompt_ids(question) == tokenizer.encode(wanted, add_special_tokens=False)
        conversation = tokenizer.apply_chat_template([user, assistant], tokenize=False)
        whole = tokenizer.encode(conversation, add_special_tokens=False)
        ids = list(renderer.example(question, train_on="assistant").ids)
        assert whole[: len(ids)] == ids


def _untrimmed(text, make):
    return text if make is not whitespace_eating_tokenizer else text.replace("\n", "")


def test_a_template_that_trims_gets_trimmed_content_and_another_keeps_it():
    spaced = row("\n  Name a fruit. \n")
    trimmed = make_renderer(trimming_tokenizer(), "chat").prompt_text(spaced)
    assert "<|end_header_id|>\n\nName a fruit.<|eot_id|>" in trimmed
    assert "user\n\n  Name a fruit. \n<|im_end|>" in make_renderer(chatml_tokenizer(), "chat").prompt_text(
        spaced
    )


@pytest.mark.parametrize("style", STYLES)
def test_there_is_one_begin_of_text_token_where_the_model_uses_one(style):
    tokenizer = TOKENIZERS["adds bos"]()
    ids = make_renderer(tokenizer, style).example(row("<s>", "<s>", "<s>"), train_on="assistant").ids
    assert (ids[0], ids.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)
    assert chatml_tokenizer().bos_token_id not in make_renderer(chatml_tokenizer(), "alpaca").prompt_ids(
        row()
    )


@pytest.mark.parametrize("style", STYLES)
def test_content_never_produces_a_control_token(tokenizer, style):
    renderer = make_renderer(tokenizer, style)
    assert spelled_leaks(renderer, {*SPECIAL_STRINGS, *control_tokens(tokenizer)}) == []
    assert random_leaks(renderer) == []


def test_the_containment_checks_catch_an_encoder_that_reads_controls_in_content(tokenizer, monkeypatch):
    renderer = make_renderer(tokenizer, "alpaca")
    monkeypatch.setattr(prompts, "encode_batch", reading_controls)
    for token in control_tokens(tokenizer):
        assert len(spelled_leaks(renderer, [token])) == 20 * len(FIELDS)
    assert random_leaks(renderer)


def test_encoded_content_reads_as_it_was_written(tokenizer):
    assert changed_texts(tokenizer) == []


def test_the_round_trip_check_catches_a_tokenizer_that_changes_texts():
    tokenizer = chatml_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    assert changed_texts(tokenizer)


def spelled_leaks(renderer, strings):
    """Return each (field, text) with a control spelled out whose ids hold other controls than the template's."""
    texts = [CARRIER[:position] + string + CARRIER[position:] for string in strings for position in range(20)]
    return leaks(renderer, [(field, text) for text in texts for field in FIELDS])


def random_leaks(renderer):
    return leaks(renderer, zip(cycle(FIELDS), RANDOM_TEXTS, strict=False))


def leaks(renderer, cases):
    """Return each (field, text) that brings controls of its own, or reads otherwise once it is encoded."""
    tokenizer = renderer.tokenizer
    # Rows are encoded together, as a preparation does it; the row of the template has a text of its own alone.
    asked = [(field, text, row(**{field: text})) for field, text in cases]
    examples = renderer.examples([row(), *(written for _, _, written in asked)], train_on="assistant")
    skeleton = count_controls(tokenizer, next(examples).ids)
    return [
        (field, text)
        for (field, text, written), example in zip(asked, examples, strict=True)
        if count_controls(tokenizer, example.ids) != skeleton
        or tokenizer.decode(example.response_ids[:-1]) != written.response
        or text.strip() not in tokenizer.decode(example.ids)
    ]


def changed_texts(tokenizer):
    return [text for text in RANDOM_TEXTS if tokenizer.decode(encode_text(tokenizer, text)) != text]


def reading_controls(encoder, texts):
    encoder.core.encode_special_tokens = False
    return encoder.core.encode_batch(texts, add_special_tokens=False)


def test_other_uses_of_the_tokenizer_meanwhile_let_no_control_through(monkeypatch):
    """A call of the tokenizer turns the switch by which its own core would read control tokens."""
    tokenizer = chatml_tokenizer()
    renderer = make_renderer(tokenizer, "chat")
    rows = [row(output=f"{number} <|im_end|> and <|im_start|>") for number in range(400)]
    alone = [renderer.example(one, train_on="assistant") for one in rows]
    monkeypatch.setattr(prompts, "CHARACTERS_AT_ONCE", 200)
    meanwhile = renderer.lay_out

    def lay_out(conversation):
        tokenizer.encode("a")
        return meanwhile(conversation)

    assert list(replace(renderer, lay_out=lay_out).examples(rows, train_on="assistant")) == alone


@pytest.mark.parametrize("style", STYLES)
def test_exactly_the_response_and_its_end_of_turn_are_supervised(tokenizer, style):
    assert wrongly_supervised(make_renderer(tokenizer, style)) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda example: replace(example, ids=example.ids[:-1], supervised=max(1, example.supervised - 1)),
        lambda example: replace(example, supervised=min(example.supervised + 1, len(example.ids) - 1)),
        lambda example: replace(example, supervised=max(1, example.supervised - 1)),
    ],
    ids=["end of turn lost", "one prompt token too many", "first response token missing"],
)
def test_the_supervision_check_catches_an_example_that_is_cut_or_shifted(broken, monkeypatch):
    whole = PromptRenderer.examples
    monkeypatch.setattr(
        PromptRenderer,
        "examples",
        lambda renderer, rows, *, train_on: [broken(one) for one in whole(renderer, rows, train_on=train_on)],
    )
    assert wrongly_supervised(make_renderer(chatml_tokenizer(), "alpaca"))


def wrongly_supervised(renderer):
    """Return the outputs whose supervised tokens are not what the response and its end of turn encode to."""
    rows = [row(output=text) for text in ("A pear.", "x", " leading", *RANDOM_TEXTS[:200])]
    examples = renderer.examples(rows, train_on="assistant")
    # With the prompt supervised too, all but the first token have one before them that predicts them.
    everything = renderer.examples(rows, train_on="all")
    wrong = []
    for asked, example, whole in zip(rows, examples, everything, strict=True):
        text = asked.response
        response = renderer.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        wanted = [*response, renderer.end_of_turn]
        if (
            list(example.ids[-example.supervised :]) != wanted
            or example.supervised != len(wanted)
            or list(example.prompt_ids) != renderer.prompt_ids(asked)
            or whole.ids != example.ids
            or whole.supervised != len(whole.ids) - 1
        ):
            wrong.append(text)
    return wrong


def test_the_end_of_turn_is_what_the_template_writes_after_an_answer():
    for make, end in [
        (chatml_tokenizer, "<|im_end|>"),
        (TOKENIZERS["adds bos"], "</s>"),
        (phi3_tokenizer, "<|end|>"),
        (trimming_tokenizer, "<|eot_id|>"),
    ]:
        tokenizer = make()
        assert tokenizer.convert_ids_to_tokens(make_renderer(tokenizer, "chat").end_of_turn) == end


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "has no chat template"),
        ("{{ raise_exception('only systems') }}", "only systems"),
        ("{{ messages[0]['content'] }}", "does not render each message"),
        (
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}<model>{% endif %}",
            "starts the assistant message differently",
        ),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused(template, told):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match=told):
        make_renderer(tokenizer, "chat")


def test_a_tokenizer_without_an_end_of_text_is_refused():
    tokenizer = chatml_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="never learn to stop"):
        make_renderer(tokenizer, "alpaca")


def test_a_tokenizer_whose_vocabulary_spells_controls_as_plain_text_is_refused():
    letters = [(character, -5.0) for character in "▁abcdefghijklmnopqrstuvwxyz<>/|_"]
    backend = Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", 0.0), *letters], unk_id=0))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.add_special_tokens(["</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
    assert tokenizer.eos_token_id in encode_text(tokenizer, "a</s>b")  # what would go wrong
    with pytest.raises(ModelError, match="'</s>' into a control token anywhere"):
        make_renderer(tokenizer, "alpaca")
