"""Texts in parts have the ids of the whole, in every tokenizer that cuts them; others cut nothing."""

import json
import re
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.texts import odd_texts
from support.tiny_sentencepiece import WAYS, sentencepiece_tokenizer
from support.tiny_tokenizer import TOKENIZERS, random_texts, whitespace_eating_tokenizer
from support.tiny_words import KNOWN, UNKNOWN, state_of, words_tokenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts import encoding, prompts, text_parts
from tutelage.data.prompts.encoding import content_encoder
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.prompts.text_parts import PARTS, joined_parts
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.data.sources.sources import STARTER, read_source
from tutelage.model.gguf_conversion import PRE_TOKENIZERS
from tutelage.model.loading import load_tokenizer

NFC = {"type": "NFC"}
TRIMMING = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
# A token that is no control token is read in every text.
TOKEN = {
    "id": 2_000,
    "content": "a b",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": False,
}
MORE_TOKENS = [
    *state_of("gpt4")["added_tokens"],
    TOKEN | {"content": "ab", "lstrip": True},
    TOKEN | {"id": 2_001, "content": "Word", "single_word": True},
    TOKEN | {"id": 2_002, "content": "e\u0301", "normalized": True},
]
CUTTING = {
    **TOKENIZERS,
    **{kind: lambda kind=kind: words_tokenizer(kind) for kind in KNOWN},
    "gpt4, NFC": lambda: words_tokenizer("gpt4", normalizer=NFC),
    "gpt2, offsets without blanks": lambda: words_tokenizer("gpt2", post_processor=TRIMMING),
    "gpt4, other tokens": lambda: words_tokenizer("gpt4", added_tokens=MORE_TOKENS),
}
FRAGMENTS = (
    *" \n\t\r./'_1=<",
    *("  ", "   ", "\n\n", "\r\n", " \n", "\n ", ".\n", "//", "...", "!?", "12", "1234", "|>"),
    *("x", "ab", "aB", "word", "Word", "'s", "'S", "'ll", "\u2019s", "'\u017f", "\u212a"),
    *("<|im_end|>", "<tool_call>", "</s>"),
    *("\u00a0", "\u0085", "\u2000", "\u2028", "\u3000", "\u200b", "\ufeff", "\x1c", "\x06", "\x0b"),
    *("é", "e\u0301", "\u0301", "\u0338", "你好", "，", "١٢", "½"),
    *("\U0001f642", "\U0001f469\u200d\U0001f469"),
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.characters(exclude_categories=["Cs"]), max_size=12).map(
    "".join
)
WRITTEN = [
    *odd_texts(),
    *random_texts(100, seed=51),
    "x\n  y",
    "x.\n y",
    " ",
    "\n",
    "a  b",
    "a <tool_call> b",
    "x  ab Word Words e\u0301 \n ab",
]


def asked(texts):
    """Return a conversation for each text that has it in every place."""
    return [
        Conversation(
            row,
            (
                ChatMessage("user", text),
                ChatMessage("assistant", f"{text} {text}"),
                ChatMessage("user", f" {text}", text),
                ChatMessage("assistant", text),
            ),
        )
        for row, text in enumerate(texts)
    ]


def otherwise_encoded(renderer, texts):
    """Return the texts that have other ids than where every text is encoded whole."""
    whole = replace(renderer, encoder=replace(renderer.encoder, cuts_texts=False))
    conversations = asked(texts)
    both = zip(
        renderer.examples(conversations, train_on="assistant"),
        whole.examples(conversations, train_on="assistant"),
        strict=True,
    )
    return [texts[own.row] for own, other in both if own != other]


def cutting(tokenizer):
    """Return a renderer that cuts texts, whether its tokenizer allows it or not."""
    renderer = make_renderer(tokenizer, "alpaca")
    return replace(renderer, encoder=replace(renderer.encoder, cuts_texts=True))


@pytest.mark.parametrize(
    ("kind", "style"), [*((kind, "alpaca") for kind in CUTTING), ("trims", "chat"), ("gpt4", "chat")]
)
def test_written_texts_have_the_ids_of_the_whole(kind, style):
    renderer = make_renderer(CUTTING[kind](), style)
    assert renderer.encoder.cuts_texts
    assert otherwise_encoded(renderer, WRITTEN) == []


@pytest.mark.parametrize("kind", CUTTING)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_any_texts_have_the_ids_of_the_whole(kind, texts):
    assert otherwise_encoded(alpaca_renderer(kind), texts) == []


@cache
def alpaca_renderer(kind):
    return make_renderer(CUTTING[kind](), "alpaca")


def test_the_default_model_gives_the_starter_rows_the_ids_of_the_whole(default_model, tmp_path):
    renderer = make_renderer(load_tokenizer(default_model.folder), "alpaca")
    assert renderer.encoder.cuts_texts
    source = read_source(STARTER, cache=tmp_path)
    rows = read_conversations(source.records, source=source.name).rows
    texts = [text for row in rows[:400] for text in (row.messages[0].text, row.response)]
    assert otherwise_encoded(renderer, texts) == []


@pytest.mark.parametrize(
    "broken",
    [r" *+[^ ]++| ++", r" ?[^ ]++| ", r"\s*\S+|\s+", r"\w+|\W+"],
    ids=[
        "before a blank behind a line's end",
        "inside blanks",
        "before a line's end",
        "between letters and marks",
    ],
)
@pytest.mark.parametrize("kind", ["gpt4", "gpt4o", "tekken"])
def test_the_comparison_catches_cuts_in_other_places(kind, broken, monkeypatch):
    renderer = make_renderer(words_tokenizer(kind), "alpaca")
    monkeypatch.setattr(encoding, "PARTS", re.compile(broken))
    assert otherwise_encoded(renderer, WRITTEN)


def test_the_comparison_catches_parts_that_are_joined_where_they_would_be_cut_otherwise(monkeypatch):
    renderer = make_renderer(words_tokenizer("gpt4"), "alpaca")
    monkeypatch.setattr(encoding, "joined_parts", lambda parts: iter([[*parts]]))
    assert otherwise_encoded(renderer, WRITTEN)


@pytest.mark.parametrize("kind", UNKNOWN)
def test_words_that_are_found_in_another_way_are_not_cut(kind):
    tokenizer = words_tokenizer(kind)
    assert not content_encoder(tokenizer).cuts_texts
    assert otherwise_encoded(cutting(tokenizer), WRITTEN)  # what would go wrong


@pytest.mark.parametrize("way", WAYS)
def test_texts_of_sentencepiece_are_not_cut(way):
    tokenizer = sentencepiece_tokenizer(way)
    assert not content_encoder(tokenizer).cuts_texts


@pytest.mark.parametrize("changed", [{}, {"content": "ab", "rstrip": True}])
def test_tokens_that_reach_over_blanks_keep_texts_whole(changed):
    added = [*state_of("gpt4")["added_tokens"], TOKEN | changed]
    tokenizer = words_tokenizer("gpt4", added_tokens=added)
    assert not content_encoder(tokenizer).cuts_texts
    assert otherwise_encoded(cutting(tokenizer), ["x a b x", "x ab x"])  # what would go wrong


GPT4 = state_of("gpt4")
[SPLIT, BYTES] = GPT4["pre_tokenizer"]["pretokenizers"]


def in_steps(*steps):
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}


@pytest.mark.parametrize(
    "changed",
    [
        {"normalizer": {"type": "NFKC"}},
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        {"model": GPT4["model"] | {"dropout": 0.1}},
        {"model": {"type": "WordLevel", "vocab": GPT4["model"]["vocab"], "unk_token": "a"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": BYTES},
        {"pre_tokenizer": BYTES | {"use_regex": True, "add_prefix_space": True}},
        in_steps(SPLIT | {"behavior": "MergedWithNext"}, BYTES),
        in_steps(SPLIT | {"invert": True}, BYTES),
        in_steps(SPLIT | {"pattern": {"String": " "}}, BYTES),
        in_steps(SPLIT | {"pattern": {"Regex": f"{SPLIT['pattern']['Regex']}|a b"}}, BYTES),
        in_steps({"type": "Punctuation", "behavior": "Isolated"}, SPLIT, BYTES),
        in_steps(BYTES, SPLIT),
        in_steps(SPLIT, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}),
        in_steps({"type": "Digits", "individual_digits": True}),
        in_steps(),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_known_keeps_texts_whole(changed):
    assert not content_encoder(words_tokenizer("gpt4", **changed)).cuts_texts


def test_the_tokenizer_that_takes_white_space_keeps_texts_whole():
    assert not content_encoder(whitespace_eating_tokenizer()).cuts_texts


def test_a_library_that_finds_words_otherwise_keeps_texts_whole(monkeypatch):
    """The expression is taken for known, and what the library makes of it shows that it is not."""
    expression = r"\S+ \S+|\s+|\S+"
    monkeypatch.setattr(text_parts, "WORDS", (expression,))
    assert not content_encoder(words_tokenizer("two words")).cuts_texts


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_texts_are_cut_for_every_tokenizer_that_a_gguf_file_may_name(name):
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(PRE_TOKENIZERS[name])
    tokenizer = words_tokenizer("gpt4", pre_tokenizer=json.loads(core.to_str())["pre_tokenizer"])
    assert content_encoder(tokenizer).cuts_texts


# All of the first plane, which has all white space, and every 16th of the others.
CODES = [*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, sys.maxunicode + 1, 16)]
CHARACTERS = [*map(chr, CODES)]
# What stands before a blank: the scripts that are in use, marks, symbols and private characters.
LETTERS = [
    character
    for begin, end in ((0, 0x3400), (0xA000, 0xAC00), (0xD7A0, 0xD800), (0xF000, 0x10800), (0x1F000, 0x1FB00))
    for character in map(chr, range(begin, end))
    if not character.isspace() and not 0xD800 <= ord(character) < 0xE000
]


def test_white_space_of_the_library_is_white_space_here():
    found = pre_tokenizers.Split(Regex(r"\s"), "removed").pre_tokenize_str("".join(CHARACTERS))
    removed = {*CHARACTERS} - {character for word, _ in found for character in word}
    assert removed <= {*filter(str.isspace, CHARACTERS)}
    assert len(removed) > 20


@pytest.mark.parametrize("kind", KNOWN)
def test_a_word_ends_before_a_blank_whatever_stands_there(kind):
    assert blanks_within_words(KNOWN[kind]) == []


def test_the_search_for_blanks_within_words_finds_them():
    assert blanks_within_words(UNKNOWN["two words"])


def blanks_within_words(steps):
    """Return characters after which a blank is found in the midst of a word."""
    text = "".join(f"{character} a" for character in LETTERS)
    words = pre_tokenizers.Sequence(steps).pre_tokenize_str(text)
    begins = {begin for _, (begin, _) in words}
    return [character for place, character in enumerate(LETTERS) if 3 * place + 1 not in begins]


@settings(deadline=None)
@given(texts=st.lists(TEXTS))
def test_groups_of_parts_are_cut_into_the_same_parts(texts):
    parts = [part for text in texts for part in PARTS.findall(text)]
    groups = [*joined_parts(parts)]
    assert [part for group in groups for part in group] == parts
    assert all(PARTS.findall("".join(group)) == group for group in groups)


@settings(deadline=None)
@given(text=TEXTS)
def test_a_text_is_its_parts(text):
    parts = PARTS.findall(text)
    assert "".join(parts) == text
    assert all(part.startswith(" ") and not before[-1].isspace() for before, part in pairwise(parts))


ROWS = [
    single_exchange_of(row, f"Name fruit {row}.", "", f"Fruit {row} is a pear.\n  It is") for row in range(60)
]


def test_a_part_is_encoded_once_however_many_rows_have_it(monkeypatch):
    renderer = make_renderer(words_tokenizer("gpt4"), "alpaca")
    seen = watched(monkeypatch)
    monkeypatch.setattr(prompts, "CHARACTERS_AT_ONCE", 200)
    examples = [*renderer.examples(ROWS, train_on="assistant")]
    assert len(seen) > 5  # several batches
    parts = [part for texts in seen for text in texts for part in PARTS.findall(text)]
    assert len(parts) == len({*parts})
    assert examples == [renderer.example(row, train_on="assistant") for row in ROWS]


def test_ids_that_are_forgotten_are_made_again(monkeypatch):
    renderer = make_renderer(words_tokenizer("gpt4"), "alpaca")
    examples = [*renderer.examples(ROWS, train_on="assistant")]
    seen = watched(monkeypatch)
    monkeypatch.setattr(prompts, "CHARACTERS_AT_ONCE", 200)
    monkeypatch.setattr(prompts, "CHARACTERS_KEPT", 400)
    assert [*renderer.examples(ROWS, train_on="assistant")] == examples
    parts = [part for texts in seen for text in texts for part in PARTS.findall(text)]
    assert 1 < parts.count(" is") < len(seen)


def watched(monkeypatch):
    """Return a list that gets the texts of each batch that is encoded."""
    seen = []
    encode = prompts.encode_batch

    def encode_batch(encoder, texts):
        seen.append(texts)
        return encode(encoder, texts)

    monkeypatch.setattr(prompts, "encode_batch", encode_batch)
    return seen
