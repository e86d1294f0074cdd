"""Test rows that resemble each other: what one of them shows, the next shows again."""

import re
from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from tutelage.data.quality.near_duplicates import near_duplicates
from tutelage.data.rows.conversations import single_exchange_of

# A line break, or a control token as chat templates write them: <|im_end|>, <end_of_turn>, [/INST].
MARK = re.compile(r"\n|<\|[^<>|\s]+\|>|</?[a-z_]+>|\[/?[A-Z_]+\]")


def cluster_rows(prompts: Sequence[str]) -> np.ndarray:
    """Return for each prompt the index of the first that it is joined to, itself if there is none: (rows,).

    Prompts are joined where they are equal once normalised or share four fifths of their pieces, and so are those
    that a third one joins. What all prompts share is left out first, for it would make them alike.
    """
    opening, ending = shared_frame(prompts)
    asked = [prompt.removeprefix(opening).removesuffix(ending) for prompt in prompts]
    return near_duplicates(
        [single_exchange_of(index, text, "", "") for index, text in enumerate(asked)]
    ).first_of


def shared_frame(prompts: Sequence[str]) -> tuple[str, str]:
    """Return the text with which all prompts begin and end, whole lines and control tokens of a prompt template.

    Repeated in each row it hides what differs.
    """
    if len(set(prompts)) < 2:
        return "", ""
    opening = _common_prefix(prompts)
    opening = opening[: max((mark.end() for mark in MARK.finditer(opening)), default=0)]
    ending = _common_prefix([prompt[len(opening) :][::-1] for prompt in prompts])[::-1]
    first = MARK.search(ending)
    return opening, ending[first.start() :] if first else ""


def _common_prefix(texts: Sequence[str]) -> str:
    # All texts lie between the first and the last in order, so what these two share, all share.
    pairs = zip(min(texts), max(texts), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
