"""Generate answers one at a time, so that they cannot influence each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutelage.generation.continuous_batch import Batch, NextTokens


class OneAtATime:
    """A batch that uses another one exclusively, and only once nothing of the previous answer is left in it.

    The number of rows and columns in a product determines the order of its sums, and so their last bits. A
    batch that is never empty would keep the columns of its longest answer.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: deque[tuple[int, Sequence[int]]] = deque()

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting) or self._batch.is_busy

    def ask(self, key: int, prompt: Sequence[int]) -> None:
        self._waiting.append((key, prompt))

    def step(self) -> NextTokens:
        if not self._batch.is_busy:
            self._batch.ask(*self._waiting.popleft())
        return self._batch.step()

    def give(self, key: int, token: int) -> None:
        self._batch.give(key, token)

    def end(self, key: int) -> None:
        self._waiting = deque(asked for asked in self._waiting if asked[0] != key)
        self._batch.end(key)
