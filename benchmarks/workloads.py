"""The standard workloads: which rows, and how many steps of how many rows; the same rows in the same order for all."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.data.prompts.encoding import encode_text

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
SEED = 123
# Of a long row, the share at its end that is supervised.
SUPERVISED_SHARE = 0.25


@dataclass(frozen=True)
class Workload:
    """Its rows are those of `file`, else of what is `fetched` by its name; or they are made, of `row_tokens` each."""

    batch: int
    steps: int
    peer_micro_batch: int
    file: Path | None = None
    fetched: str | None = None
    row_tokens: int = 0


def _long(tokens: int, *, batch: int, steps: int) -> Workload:
    """Return steps of some 8,000 tokens; peers take their rows one by one, for those of one length gain nothing."""
    return Workload(batch, steps, peer_micro_batch=1, row_tokens=tokens)


WORKLOADS = {
    "book": Workload(
        batch=8,
        steps=20,
        peer_micro_batch=8,
        file=SHARED_DATA / "instruction-data.json",
        fetched="instruction-data",
    ),
    "alpaca": Workload(batch=8, steps=12, peer_micro_batch=8, file=SHARED_DATA / "alpaca-sample.json"),
    "long-1000": _long(1_000, batch=8, steps=6),
    "long-2000": _long(2_000, batch=4, steps=6),
    "long-4000": _long(4_000, batch=2, steps=5),
    "long-8000": _long(8_000, batch=1, steps=5),
}


def long_rows(tokenizer: Any, *, end: int, tokens: int, count: int) -> list[dict[str, Any]]:
    """Return rows of so many tokens, the passages of the general text in an order of its own for each.

    Each row begins with another passage than the ones before it, as long as there are any, so that no prefix is shared.
    """
    from tutelage.evaluation.regression.general_text_check import cut, general_texts  # noqa: PLC0415 - it imports torch

    passages = [passage for text in general_texts().values() for passage in cut(text)]
    supervised = round(tokens * SUPERVISED_SHARE)
    return [
        {"row": row, "ids": [*_text_ids(tokenizer, passages, row, tokens - 1), end], "supervised": supervised}
        for row in range(count)
    ]


def _text_ids(tokenizer: Any, passages: Sequence[str], row: int, tokens: int) -> list[int]:
    chance = random.Random(f"{SEED} {row}")
    opening = row % len(passages)
    others = [passage for place, passage in enumerate(passages) if place != opening]
    ids: list[int] = []
    while len(ids) < tokens:
        text = "\n\n".join([passages[opening], *chance.sample(others, len(others))])
        ids += encode_text(tokenizer, text)
    return ids[:tokens]


def by_length(rows: Sequence[dict[str, Any]], *, batch: int) -> list[dict[str, Any]]:
    """Put rows of like length into one step, and the steps in an order of chance, so that the longest are not first."""
    ordered = sorted(rows, key=lambda row: len(row["ids"]))
    steps = [ordered[begin : begin + batch] for begin in range(0, len(ordered), batch)]
    random.Random(SEED).shuffle(steps)
    return [row for step in steps for row in step]
