"""Alpaca rows as many as are wanted, of sentences of the starter data: about as long as Stanford's, all different."""

import json
import random
from pathlib import Path

from tutelage.data.sources import STARTER, read_source
from tutelage.fetching import user_cache

SEED = 123
# Stanford's 52,002 rows have 437 bytes each in their file, four of ten have an input.
MEAN_SENTENCES = 14
SHARE_WITH_INPUT = 0.4


def write_rows(path: Path, count: int) -> None:
    """Write so many rows; the same at every call."""
    chance = random.Random(SEED)
    starter = [record.value for record in read_source(STARTER, cache=user_cache()).records]
    instructions = [row["instruction"] for row in starter]
    texts = [row["input"] for row in starter if row["input"]]
    answers = [row["output"] for row in starter]
    rows = [
        {
            "instruction": f"{chance.choice(instructions)} {chance.choice(texts)}"[:120] + f" ({number})",
            "input": " ".join(chance.sample(texts, 2)) if chance.random() < SHARE_WITH_INPUT else "",
            "output": " ".join(
                chance.sample(answers, min(120, 1 + int(chance.expovariate(1 / MEAN_SENTENCES))))
            ),
        }
        for number in range(count)
    ]
    path.write_text(json.dumps(rows, indent=4, ensure_ascii=False), encoding="utf-8")
