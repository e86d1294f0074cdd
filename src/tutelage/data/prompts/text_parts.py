"""Texts cut into parts that are encoded once, where the ids of the parts are those of the whole text.

A text is cut before each blank that follows no white space, so a part is mostly a word with the blank before it.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from string import printable
from typing import Any

from tokenizers import Encoding, Tokenizer

PARTS = re.compile(r" *+[^ ]++(?:(?<=\s) ++[^ ]*+)*+| ++")
# Ids are kept as bytes, which the garbage collector has not to look through.
ID_CODE = "I"
ID_BYTES = array(ID_CODE).itemsize
PARTS_AT_ONCE = 64  # an encoding has a price of its own, that of two parts or so

# The expressions by which the tokenizers of many models find words: GPT-4 and Llama 3, Qwen 2, Qwen 3.5, GPT-4o, and
# Mistral's Tekken. A match of any of them has a blank at its beginning alone, or is all white space, so none goes on
# over a cut. Nor does one look over it: only white space looks ahead, and a cut has none before it.
GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = GPT4_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN3_5_WORDS = QWEN2_WORDS.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"\s\p{L}", r"\s\p{L}\p{M}")
TEKKEN_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = (GPT4_WORDS, QWEN2_WORDS, QWEN3_5_WORDS, GPT4O_WORDS, TEKKEN_WORDS)

PROBE = "".join(f"{character} {character}" for character in printable)


def may_be_cut(state: Mapping[str, Any], core: Tokenizer) -> bool:
    """Tell of a tokenizer.json and its core whether each text may be cut; any but the known kinds are left alone.

    A model of byte pairs encodes each word by itself. NFC changes nothing across a blank.
    """
    model = state["model"]
    return (
        model["type"] == "BPE"
        and not model["dropout"]
        and state["normalizer"] in (None, {"type": "NFC"})
        and not any(map(_reaches_over_blanks, state["added_tokens"]))
        and _finds_known_words(state["pre_tokenizer"] or {})
        and _keeps_ids(core)
    )


def _reaches_over_blanks(token: Mapping[str, Any]) -> bool:
    """Tell whether a token that is looked for before words are holds white space, or takes what follows it."""
    return token["rstrip"] or any(character.isspace() for character in token["content"])


def _finds_known_words(pre_tokenizer: Mapping[str, Any]) -> bool:
    """Tell whether the first step that looks at more than one character is a known one.

    Wherever a text may be cut that step ends a word, so the steps after it never see what stands on both sides.
    """
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    first, *later = [step for step in steps if step.get("type") != "Digits"] or [{}]
    return _is_known(first) and all(step["type"] in ("Split", "ByteLevel") for step in later)


def _is_known(step: Mapping[str, Any]) -> bool:
    if step.get("type") == "ByteLevel":
        return step["use_regex"] and not step["add_prefix_space"]
    return (
        step.get("type") == "Split"
        and step["pattern"].get("Regex") in WORDS
        and (step["behavior"], step["invert"]) == ("Isolated", False)
    )


def _keeps_ids(core: Tokenizer) -> bool:
    """Tell whether all characters that can be printed, before and after a blank, have the ids of their parts."""
    parts = core.encode_batch_fast(PARTS.findall(PROBE), add_special_tokens=False)
    whole = core.encode(PROBE, add_special_tokens=False)
    return whole.ids == [*chain.from_iterable(part.ids for part in parts)]


def joined_parts(parts: Iterable[str]) -> Iterator[list[str]]:
    """Yield groups of parts that, joined to one text, would be cut into the same parts."""
    group: list[str] = []
    for part in parts:
        is_cut_off = group and part[0] == " " and not group[-1][-1].isspace()
        if not is_cut_off or len(group) == PARTS_AT_ONCE:
            if group:
                yield group
            group = []
        group.append(part)
    if group:
        yield group


class PartNumbers(dict[str, int]):
    """A number for each part, in the order in which they are first asked for."""

    characters = 0  # of all parts

    def __missing__(self, part: str) -> int:
        number = self[part] = len(self)
        self.characters += len(part)
        return number

    def of(self, parts: Iterable[str]) -> list[int]:
        return [*map(self.__getitem__, parts)]


def split_ids(groups: Sequence[Sequence[str]], encoded: Sequence[Encoding]) -> Iterator[bytes]:
    """Yield the ids of each part, as bytes, from the encodings of the groups' texts."""
    for group, encoding in zip(groups, encoded, strict=True):
        ids = array(ID_CODE, encoding.ids).tobytes()
        if len(group) == 1:
            yield ids
            continue
        begins = [begin for begin, _ in encoding.offsets]
        places = accumulate(map(len, group[:-1]), initial=0)
        cuts = [*(bisect_left(begins, place) * ID_BYTES for place in places), len(ids)]
        yield from (ids[begin:end] for begin, end in pairwise(cuts))


def joined_ids(parts: Iterable[bytes]) -> list[int]:
    """Return the ids of a text from those of its parts."""
    return array(ID_CODE, b"".join(parts)).tolist()
