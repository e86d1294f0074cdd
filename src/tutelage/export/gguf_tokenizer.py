"""A tokenizer as a GGUF file says it: a byte-level BPE by its merges, SentencePiece's BPE by a score for each token."""

import json
import re
from typing import Any

import gguf
from gguf import TokenType

from tutelage.data.prompts.encoding import SPACE_OF_SENTENCEPIECE, adds_begin_of_text, without_opening_space
from tutelage.model.gguf_conversion import PRE_TOKENIZERS, WHOLE_WORDS_FIRST, kept_apart, missing_bytes

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_NEVER_MERGED = -1e6  # below every score that a merge has


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, vocabulary: int, opening: str) -> None:
    """Write a tokenizer that is known here; `opening` is what its prompts begin with."""
    description = _description(tokenizer)
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    names = [tokens.get(number, f"[PAD{number}]") for number in range(vocabulary)]
    if _is_sentencepiece(description):
        _write_sentencepiece(writer, description, names, has_opening_space=_has_space(description, opening))
    else:
        writer.add_tokenizer_model("gpt2")
        pre = pre_tokenizer_name(description)
        assert pre is not None, "other tokenizers are not written here"
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges([" ".join(merge) for merge in _merges(description)])
    writer.add_token_list(names)
    writer.add_token_types([_kind(tokenizer, tokens, number) for number in range(vocabulary)])
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(adds_begin_of_text(tokenizer))


def is_known(tokenizer: Any) -> bool:
    """Whether llama.cpp is known here to cut texts as a tokenizer does."""
    return is_byte_level(tokenizer) or _is_sentencepiece(_description(tokenizer))


def is_byte_level(tokenizer: Any) -> bool:
    """Whether it is a byte-level BPE of a kind that is known here."""
    return pre_tokenizer_name(_description(tokenizer)) is not None


def _description(tokenizer: Any) -> dict[str, Any]:
    return json.loads(tokenizer.backend_tokenizer.to_str())


def _is_sentencepiece(description: dict[str, Any]) -> bool:
    """Whether it is SentencePiece's BPE, with bytes for what has no token, in one of the ways that it is written."""
    if description["model"]["type"] != "BPE" or not description["model"].get("byte_fallback"):
        return False
    bare, _ = without_opening_space(description)
    cut = bare["pre_tokenizer"]
    if cut is not None:
        return not bare["normalizer"] and cut["type"] == "Metaspace" and not cut.get("split", True)
    normal = bare["normalizer"] or {}
    steps = normal.get("normalizers", [normal])
    return [(step.get("pattern"), step.get("content")) for step in steps] == [
        ({"String": " "}, SPACE_OF_SENTENCEPIECE)
    ]


def _has_space(description: dict[str, Any], opening: str) -> bool:
    """Whether prompts with this opening get a space before a text that stands first or behind a control token.

    llama.cpp knows no space that comes before the first text alone: where a prompt begins with a control token it has
    none, and where it begins with text, what follows has control tokens at its end alone.
    """
    _, where = without_opening_space(description)
    controls = [token["content"] for token in description["added_tokens"] if token["special"]]
    return where is not None and (where != "first" or not opening.startswith(tuple(controls)))


def _write_sentencepiece(
    writer: gguf.GGUFWriter, description: dict[str, Any], names: list[str], *, has_opening_space: bool
) -> None:
    """Write scores whose order is that of the merges: llama.cpp merges the two that make the best token first."""
    scores: dict[str, float] = {}
    for place, merge in enumerate(_merges(description)):
        scores.setdefault("".join(merge), -float(place))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores([scores.get(name, _NEVER_MERGED) for name in names])
    writer.add_add_space_prefix(has_opening_space)


def _kind(tokenizer: Any, tokens: dict[int, str], number: int) -> TokenType:
    if number not in tokens:
        return TokenType.UNUSED
    known = tokenizer.added_tokens_decoder.get(number)
    if known is not None:
        return TokenType.CONTROL if known.special else TokenType.USER_DEFINED
    return TokenType.BYTE if _BYTE.fullmatch(tokens[number]) else TokenType.NORMAL


def _merges(description: dict[str, Any]) -> list[list[str]]:
    return [merge.split(" ") if isinstance(merge, str) else merge for merge in description["model"]["merges"]]


def pre_tokenizer_name(description: dict[str, Any]) -> str | None:
    """Return llama.cpp's name for how a byte-level tokenizer.json cuts texts; None where none is known here."""
    if description["model"]["type"] != "BPE" or description["model"].get("byte_fallback"):
        return None
    wanted = _without_cut_at_missing_bytes(_steps(description["pre_tokenizer"]), description)
    ignores_merges = bool(description["model"].get("ignore_merges"))
    for name, steps in PRE_TOKENIZERS.items():
        known = [json.loads(step.__getstate__()) for step in steps]
        if _steps({"type": "Sequence", "pretokenizers": known}) == wanted and (
            ignores_merges == (name in WHOLE_WORDS_FIRST)
        ):
            return name
    return None


def _without_cut_at_missing_bytes(
    steps: list[dict[str, Any]], description: dict[str, Any]
) -> list[dict[str, Any]]:
    """Leave out the last step if it does nothing but what llama.cpp does by itself with bytes that have no token.

    Tokenizers that were converted from GGUF end with it.
    """
    missing = kept_apart(missing_bytes(description["model"]["vocab"]))
    if steps and missing and steps[-1:] == _steps(json.loads(missing[0].__getstate__())):
        return steps[:-1]
    return steps


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a pre-tokenizer without what has no effect on ids."""
    if pre_tokenizer is None:
        return []
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
