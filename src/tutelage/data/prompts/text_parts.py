"""Split texts into parts that are encoded once, if the ids of the parts are those of the whole text.

Texts are split before every blank that follows no whitespace, so a part is usually a word with its leading
blank.
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
# Ids are stored as bytes, which the garbage collector does not have to scan.
ID_CODE = "I"
ID_BYTES = array(ID_CODE).itemsize
PARTS_AT_ONCE = 64  # each encoding has a fixed cost, of about two parts

# Word patterns in the tokenizers of many models: GPT-4 and Llama 3, Qwen 2, Qwen 3.5, GPT-4o, and Mistral's
# Tekken. A match has a blank only at its beginning, or is all whitespace, so none crosses a split. None looks
# across a split either: only whitespace looks ahead, and no whitespace precedes a split.
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
    """Return whether texts may be split with this tokenizer.json and its core; unknown kinds of tokenizers are
    not split.

    A BPE model encodes each word separately, and NFC changes nothing across a blank.
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
    """Return whether an added token, which is matched before words, contains whitespace or strips what follows."""
    return token["rstrip"] or any(character.isspace() for character in token["content"])


def _finds_known_words(pre_tokenizer: Mapping[str, Any]) -> bool:
    """Return whether the first step that looks at more than one character is a known one.

    That step ends a word wherever a text may be split, so later steps never see both sides of a split.
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
    """Return whether all printable characters, before and after a blank, get the ids of their parts."""
    parts = core.encode_batch_fast(PARTS.findall(PROBE), add_special_tokens=False)
    whole = core.encode(PROBE, add_special_tokens=False)
    return whole.ids == [*chain.from_iterable(part.ids for part in parts)]


def joined_parts(parts: Iterable[str]) -> Iterator[list[str]]:
    """Yield groups of parts that would be split into the same parts again if joined."""
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
    """Numbers parts in order of first access."""

    characters = 0  # total length of all parts

    def __missing__(self, part: str) -> int:
        number = self[part] = len(self)
        self.characters += len(part)
        return number

    def of(self, parts: Iterable[str]) -> list[int]:
        return [*map(self.__getitem__, parts)]


def split_ids(groups: Sequence[Sequence[str]], encoded: Sequence[Encoding]) -> Iterator[bytes]:
    """Yield the ids of each part, as bytes, from the encodings of the groups."""
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
