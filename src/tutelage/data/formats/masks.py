"""Loss masks of messages: fields that say whether an answer is trained on."""

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tutelage.data.rows.reading import Reading, RowError, Value, json_kind

# OpenAI, ms-swift, LLaMA-Factory, axolotl and others: 1 trains on the message. `masked` is the opposite.
LEARNT = {
    "weight",
    "loss",
    "lossweight",
    "lossscale",
    "lossmask",
    "train",
    "training",
    "trainable",
    "supervised",
}
MASKED = {"masked", "ismasked"}
WORDS_OF_MASKS = {
    *("weight", "weights", "loss", "mask", "masks", "masked", "masking", "unmasked"),
    *("train", "trained", "training", "trainable", "untrained", "learn", "learned", "learnt", "learnable"),
    *("supervise", "supervised", "unsupervised"),
}
WHOLE_KEYS = {"ignore", "ignored", "skip", "skipped"}
TRUTHS = {"true": True, "false": False}


def read_mask(turn: Value, field: str, reading: Reading) -> tuple[bool | None, list[str]]:
    """Return whether a message says that it is trained on (None if it does not say), and the keys that say so."""
    said: dict[str, bool] = {}
    for key, found in turn.items():
        kind = _kind_of_key(key)
        if kind is None or _is_absent(found, reading):
            continue
        is_on = _truth(found)
        if kind == "unclear":
            if is_on is not None or isinstance(found, bool | int | float | list):
                raise _unclear(key, field)
        elif is_on is None:
            raise RowError(
                "data.weight_not_0_or_1",
                f"with a {key!r} in {field!r} that is not 0 or 1",
                f"{found!r:.40}" if isinstance(found, str | int | float) else json_kind(found),
                "Write 1 for an answer to train on, and 0 for one to mask.",
            )
        else:
            said[key] = is_on is (kind == "learnt")
    if len(set(said.values())) > 1:
        raise RowError(
            "data.masks_disagree",
            f"with a message in {field!r} whose masks contradict each other",
            " and ".join(f"{key!r} of {turn[key]!r:.40}" for key in said),
            "Remove one of the two.",
        )
    return next(iter(said.values()), None), list(said)


@lru_cache(maxsize=1024)
def _kind_of_key(key: str) -> str | None:
    """Return the kind of a mask key: "learnt", "masked", "unclear" if it could be either, or None if it is not
    one.
    """
    words = list(_words(key))
    joined = "".join(words)
    if joined in LEARNT:
        return "learnt"
    if joined in MASKED:
        return "masked"
    return "unclear" if joined in WHOLE_KEYS or WORDS_OF_MASKS & {*words, joined} else None


def _words(key: str) -> Iterator[str]:
    """Yield the words of a key written as loss_weight, lossWeight or loss-weight."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    yield from (word for word in re.split(r"[\W_]+", parted.casefold()) if word)


def _is_absent(found: Any, reading: Reading) -> bool:
    is_missing_number = reading.is_from_arrow and isinstance(found, float) and math.isnan(found)
    return found is None or is_missing_number or (isinstance(found, str) and not found.strip())


def _truth(found: Any) -> bool | None:
    """Return the boolean value of 0 or 1 as a number, boolean or text; None for anything else."""
    if isinstance(found, str):
        text = found.strip().casefold()
        if text in TRUTHS:
            return TRUTHS[text]
        try:
            found = float(text)
        except ValueError:
            return None
    return bool(found) if isinstance(found, bool | int | float) and found in (0, 1) else None


def _unclear(key: str, field: str) -> RowError:
    return RowError(
        "data.unknown_mask",
        f"with a message in {field!r} that has {key!r}, which looks like a loss mask",
        f"{key!r}",
        "Rename it to 'weight', with 1 for an answer to train on and 0 for one to mask, or remove it.",
    )
