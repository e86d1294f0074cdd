"""What the starter data set is made of: tasks with their items and wordings, and the rows they become."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SHARE_WITH_INPUT = 0.55

Checker = Callable[[str, str, str], bool]
"""Says from a row's instruction, input and output alone whether the output is right."""


def rows_of(task: Task, rng: random.Random) -> list[StarterRow]:
    """Give each item of the task one wording, a little more than half of them with the item as input."""
    items = list(task.items)
    rng.shuffle(items)
    with_input = round(len(items) * SHARE_WITH_INPUT)
    wordings = dealt(task.with_input, with_input, rng)
    wordings += dealt(task.without_input, len(items) - with_input, rng)
    rows: list[StarterRow] = []
    for position, (item, wording) in enumerate(zip(items, wordings, strict=True)):
        given = filled(task.input_form, item) if position < with_input else ""
        output = filled(task.answer_form, item)
        rows.append(StarterRow(task.name, filled(wording, item), given, output, task.check))
    return rows


def dealt(wordings: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Deal out wordings as from a shuffled pack, so that all of them are used about equally often."""
    pack: list[str] = []
    while len(pack) < count:
        shuffled = list(wordings)
        rng.shuffle(shuffled)
        pack.extend(shuffled)
    return pack[:count]


def filled(form: str, item: Item) -> str:
    """Put the item's parts into the places {x} (text), {d} (detail) and {a} (answer) of a form.

    `str.format` would trip over the braces of the JSON answers, hence the plain replacement.
    """
    return form.replace("{x}", item.text).replace("{d}", item.detail).replace("{a}", item.answer)


def items_from(block: str) -> tuple[Item, ...]:
    """Read items written one a line as "text | answer" or "text | answer | detail"."""
    return tuple(Item(*line.split(" | ")) for line in lines_of(block))


def lines_of(block: str) -> tuple[str, ...]:
    """Give the non-empty lines of a block of text, stripped."""
    return tuple(line.strip() for line in block.splitlines() if line.strip())


@dataclass(frozen=True)
class Item:
    """One thing to ask about, with its hand-written answer."""

    text: str
    answer: str
    detail: str = ""


@dataclass(frozen=True)
class Task:
    """A kind of task: its items, the ways people word it and the checker of its answers."""

    name: str
    items: tuple[Item, ...]
    with_input: tuple[str, ...]
    without_input: tuple[str, ...]
    check: Checker
    answer_form: str = "{a}"
    input_form: str = "{x}"


@dataclass(frozen=True)
class StarterRow:
    """One row of the data set, with the task it belongs to and the checker of its answer."""

    task: str
    instruction: str
    input: str
    output: str
    check: Checker

    def passes_its_checker(self) -> bool:
        """Tell whether the checker accepts the row's own output."""
        return self.check(self.instruction, self.input, self.output)
