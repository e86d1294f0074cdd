"""An answer ends at each end token that a model's files name, and where every other program ends it."""

import json

import pytest
from support.exported_gguf import exported_gguf
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.generation.llama_cpp import load_gguf
from tutelage.model.end_tokens import ENDS_BY_TEXT, NO_END_BESIDE, end_tokens, ends_by_text


def folder_with(tmp_path, **files):
    for name, value in files.items():
        (tmp_path / f"{name}.json").write_text(
            value if isinstance(value, str) else json.dumps(value), encoding="utf-8"
        )
    return tmp_path


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, set()),
        ({"config": {"eos_token_id": 7}}, {7}),
        ({"config": {"eos_token_id": [7, 9]}}, {7, 9}),
        ({"generation_config": {"eos_token_id": [7, 9]}, "config": {"eos_token_id": 11}}, {7, 9, 11}),
        ({"generation_config": {"eos_token_id": 7}, "config": {"eos_token_id": None}}, {7}),
        ({"generation_config": {"eos_token_id": [None, True, -1, "7", 8]}}, {8}),
        ({"generation_config": "[", "config": "[7]"}, set()),
    ],
)
def test_every_end_that_a_configuration_names_counts(tmp_path, files, named):
    tokenizer = chatml_tokenizer()
    own = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")}
    assert end_tokens(folder_with(tmp_path, **files), tokenizer, 5) == {5, *own, *named}


def with_tokens(*texts):
    tokenizer = chatml_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": [*texts]})
    return tokenizer


@pytest.mark.parametrize(("text", "beside"), NO_END_BESIDE)
def test_what_ends_a_part_of_an_answer_alone_is_no_end(text, beside):
    assert text in ends_by_text(with_tokens(text))
    assert text not in ends_by_text(with_tokens(text, *beside))


PARTNERS = set().union(*(beside for _, beside in NO_END_BESIDE))


@pytest.mark.parametrize(
    "texts", [[text for text in ENDS_BY_TEXT if text not in PARTNERS], sorted(PARTNERS)], ids=["most", "sets"]
)
def test_llama_cpp_ends_an_answer_at_exactly_these(texts, tmp_path):
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) has no build here", exc_type=ImportError)
    tokenizer = with_tokens(*texts, "<|tool|>", "<|user|>")
    path, _ = exported_gguf(tokenizer, "alpaca", tmp_path)
    model = load_gguf(path, context=64)

    def ends(token):
        reply = model._ask(
            "/completion", prompt=[5, 6], n_predict=2, logit_bias=[[token, 1000]], return_tokens=True
        )
        return reply["tokens"] == [token]

    controls = sorted(tokenizer.added_tokens_decoder)
    assert {token for token in controls if ends(token)} == {*ends_by_text(tokenizer).values()}
    assert len(ends_by_text(tokenizer)) < len(controls)
