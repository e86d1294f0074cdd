"""Let answers run in parallel, or some of them exclusively."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Queue:
    """A shared/exclusive lock, first come, first served, so that nobody waits forever."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._inside = 0
        self._is_closed = False  # held exclusively

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn, and hold the lock until the end."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self._has_room(alone=alone))
            self._waiting.popleft()
            self._inside += 1
            self._is_closed = alone
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._is_closed = False
                self._changed.notify_all()

    def _has_room(self, *, alone: bool) -> bool:
        return not self._is_closed and (self._inside == 0 or not alone)
