"""Alpaca rows as many as are wanted, of sentences of the starter data, all different."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path

from tutelage.data.sources.sources import STARTER, read_source
from tutelage.system.fetching import user_cache

SEED = 123
# Stanford's 52,002 rows have 437 bytes each in their file, four of ten have an input.
MEAN_SENTENCES = 14
MEAN_SENTENCES_LONG = 105  # about 2,000 bytes a row
SHARE_WITH_INPUT = 0.4
# With another word of seven letters two rows of the first are near-duplicates, and two of the second narrowly are not.
TEMPLATE = "Rewrite the following sentence so that it is in the passive voice, and keep the name {} as it stands in it."
SHORT_TEMPLATE = "Rewrite the sentence in the passive voice, and keep the name {} as it stands in the text."


def write_rows(path: Path, count: int) -> None:
    """Write so many rows about as long as Stanford's, as one list; the same at every call."""
    path.write_text(
        json.dumps(list(_rows(count, MEAN_SENTENCES)), indent=4, ensure_ascii=False), encoding="utf-8"
    )


def write_long_rows(path: Path, count: int) -> None:
    """Write so many rows of about 2,000 bytes as JSON lines, one after the other; the same at every call."""
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(count, MEAN_SENTENCES_LONG):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_ordinary_lines(path: Path, count: int) -> None:
    """Write so many rows about as long as Stanford's as JSON lines; the same at every call."""
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(count, MEAN_SENTENCES):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_template_lines(path: Path, count: int, *, template: str = TEMPLATE) -> None:
    """Write so many rows of one template, in which one word changes, as JSON lines; the same at every call."""
    chance = random.Random(SEED)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            word = "".join(chance.choices(string.ascii_lowercase, k=7))
            row = {
                "instruction": template.format(word),
                "input": "",
                "output": f"Answer {number} is by {word}.",
            }
            file.write(json.dumps(row) + "\n")


def _rows(count: int, mean_sentences: int) -> Iterator[dict[str, str]]:
    chance = random.Random(SEED)
    starter = [record.value for record in read_source(STARTER, cache=user_cache()).records]
    instructions = [row["instruction"] for row in starter]
    texts = [row["input"] for row in starter if row["input"]]
    answers = [row["output"] for row in starter]
    for number in range(count):
        yield {
            "instruction": f"{chance.choice(instructions)} {chance.choice(texts)}"[:120] + f" ({number})",
            "input": " ".join(chance.sample(texts, 2)) if chance.random() < SHARE_WITH_INPUT else "",
            "output": " ".join(
                chance.sample(
                    answers,
                    min(
                        120 * mean_sentences // MEAN_SENTENCES,
                        1 + int(chance.expovariate(1 / mean_sentences)),
                    ),
                )
            ),
        }
