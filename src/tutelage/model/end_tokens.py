"""The tokens that end an answer: the trained end of turn, those in the model's files, and the usual ones."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# llama.cpp stops at any of these, whatever the file says; stopping at the same ones makes all programs agree.
ENDS_BY_TEXT = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
)
# llama.cpp drops these again: together with the listed tokens, they only end a part of an answer.
NO_END_BESIDE = (
    ("<|end|>", {"<|return|>", "<|call|>"}),
    ("<|end|>", {"<|call|>", "<|flush|>"}),
    ("<|end|>", {"<|calls|>", "<|flush|>"}),
    ("</s>", {"<|tool_response>"}),
)
CONFIGURATIONS = ("generation_config.json", "config.json")


def end_tokens(folder: Path, tokenizer: Any, end_of_turn: int) -> frozenset[int]:
    """Return every token that ends an answer of the model in `folder`.

    `end_of_turn` is the trained one. A base model that stops at another of its end tokens has also finished its
    answer.
    """
    ids = {end_of_turn, tokenizer.eos_token_id, *named_ends(folder), *ends_by_text(tokenizer).values()}
    return frozenset(ids - {None})


def named_ends(folder: Path) -> set[int]:
    """Return the end tokens in the configuration files of `folder`, each a number or a list."""
    found: set[int] = set()
    for name in CONFIGURATIONS:
        try:
            value = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # not every model has both files; loading reports damaged ones
        if isinstance(value, dict):
            found |= {*_numbers(value.get("eos_token_id"))}
    return found


def _numbers(value: Any) -> Iterable[int]:
    listed = value if isinstance(value, list) else [value]
    return (one for one in listed if isinstance(one, int) and not isinstance(one, bool) and one >= 0)


def ends_by_text(tokenizer: Any) -> dict[str, int]:
    """Return the tokens of the vocabulary that every program treats as an end, as {text: id}."""
    known = {text: number for text in ENDS_BY_TEXT if (number := _id_of(tokenizer, text)) is not None}
    no_ends = {text for text, beside in NO_END_BESIDE if beside <= known.keys()}
    return {text: number for text, number in known.items() if text not in no_ends}


def _id_of(tokenizer: Any, text: str) -> int | None:
    number = tokenizer.convert_tokens_to_ids(text)
    # Unknown text maps to None or to the id of another token.
    return number if number is not None and tokenizer.convert_ids_to_tokens(number) == text else None
