"""Compute token statistics: lengths, and tokens saved by prefix sharing."""

import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tutelage.config.recipe import TrainOn
from tutelage.data.dataset.prepared_rows import PreparedRows, id_type
from tutelage.data.prompts.encoding import naming_row_of_surrogate
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.quality.checks import CheckedRow, opening_message
from tutelage.data.rows.conversations import Conversation
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import count_distinct, count_distinct_runs

EXAMPLES_A_STEP = 8


@dataclass(frozen=True)
class TokenFigures:
    """Lengths in tokens, and the number of tokens to compute with and without prefix sharing."""

    lengths: np.ndarray  # (examples,)
    supervised: int
    longest_allowed: int
    without_end: int | None  # None if no row has an answer that should end
    computed: int  # tokens to compute without sharing, one example at a time
    distinct: int  # with sharing over the whole source
    distinct_by_step: int  # with sharing within steps of eight rows in file order


class TokenCounter:
    """Counts tokens of a stream of examples; their ids go to a temporary file."""

    def __init__(self, *, longest_allowed: int, end_of_turn: int, vocabulary: int) -> None:
        self.overlong: dict[int, int] = {}  # tokens by row; both answers of a pair may be too long
        self._limit, self._end_of_turn = longest_allowed, end_of_turn
        self._lengths = array("q")
        self._supervised = self._answers = self._without_end = self._distinct_by_step = 0
        self._step: list[Example] = []
        self._id_type = id_type(vocabulary)
        self._ids = tempfile.TemporaryFile()  # noqa: SIM115 - deleted together with the counter

    def add(self, example: Example) -> None:
        """Add the next example."""
        tokens = example.tokens
        if tokens > self._limit:
            self.overlong[example.row] = tokens
        self._lengths.append(tokens)
        self._supervised += example.supervised
        if not example.predicts_label:
            self._answers += 1
            self._without_end += example.ids[-1] != self._end_of_turn
        self._ids.write(np.array(example.read_ids, dtype=self._id_type).tobytes())
        self._step.append(example)
        if len(self._step) == EXAMPLES_A_STEP:
            self._count_step()

    def figures(self) -> TokenFigures | None:
        """Return the statistics of all examples, or None if there were none."""
        if not self._lengths:
            return None
        self._count_step()
        self._ids.flush()
        lengths = np.array(self._lengths)
        read = lengths - 1  # the last token of each example is only a target
        ids = np.memmap(self._ids, dtype=self._id_type, mode="r")
        return TokenFigures(
            lengths=lengths,
            supervised=self._supervised,
            longest_allowed=self._limit,
            without_end=self._without_end if self._answers else None,
            computed=int(read.sum()),
            distinct=count_distinct_runs(ids, np.cumsum(read) - read, read),
            distinct_by_step=self._distinct_by_step,
        )

    def _count_step(self) -> None:
        self._distinct_by_step += count_distinct(self._step)
        self._step = []


def count_row_tokens(
    checked: Iterable[CheckedRow],
    renderer: PromptRenderer,
    *,
    train_on: TrainOn,
    file_of: Callable[[int], str],
) -> dict[int, int]:
    """Return the token count of every row with an example, even if it is dropped as a repeat or for its size.

    Rows without a supervised answer, or without a prompt before it, have no example and are left out.
    """
    rows = [one.row for one in checked if _has_example(one.row)]
    with naming_row_of_surrogate(file_of):
        return {example.row: example.tokens for example in renderer.examples(rows, train_on=train_on)}


def _has_example(row: Conversation) -> bool:
    if not row.messages or row.messages[-1].role != "assistant" or not row.messages[-1].is_supervised:
        return False
    return row.is_plain_text or opening_message(row).role != "assistant"


def count_tokens(splits: Mapping[str, PreparedRows]) -> dict[str, int]:
    """Return the token counts of the training rows, and the length of the longest row of all splits."""
    train = list(splits["train"].answers.values())
    ids = [one.ids for one in train]
    begins = [one.begins + sum(map(len, ids[:place])) for place, one in enumerate(train)]
    read = np.concatenate([one.read_tokens for one in train])
    return {
        "train": sum(int(one.tokens.sum()) for one in train),
        "supervised": sum(int(one.supervised.sum()) for one in train),
        "distinct": count_distinct_runs(
            ids[0] if len(ids) == 1 else np.concatenate(ids), np.concatenate(begins), read
        ),
        "longest": max(
            int(one.tokens.max(initial=0)) for rows in splits.values() for one in rows.answers.values()
        ),
    }
