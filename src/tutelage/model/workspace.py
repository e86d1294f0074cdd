"""Memory for what a forward pass keeps for its slopes, in large pieces that the next pass takes again.

Taken from the heap one by one, tensors whose sizes change with every step leave holes that nothing fits into: after
twenty steps of a small model those were 400 MB, twice what was kept.
"""

import math

import torch

PIECE_BYTES = 2**24
ALIGNED_BYTES = 64

_idle: dict[torch.device, list[torch.UntypedStorage]] = {}


class Workspace:
    """The memory of one forward pass; when it is let go of, its pieces are free for others.

    So it has to live as long as the tensors that it gave: what leaves a pass must not lie in it.
    """

    def __init__(self, device: torch.device) -> None:
        self._pieces: list[torch.UntypedStorage] = []
        self._taken: list[int] = []  # bytes of each piece
        self._device = device

    def empty(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        """Return a contiguous tensor of a shape with whatever values the memory holds."""
        size = math.prod(shape) * dtype.itemsize
        place = self._place_for(size)
        begin = self._taken[place] // dtype.itemsize
        self._taken[place] += size + -size % ALIGNED_BYTES
        # Unlike a view, it does not share the count of changes by which autograd guards what it has saved.
        tensor = torch.empty(0, dtype=dtype, device=self._device)
        return tensor.set_(self._pieces[place], begin, shape, _contiguous(shape))

    def _place_for(self, size: int) -> int:
        """Return the first piece that has room: what a large tensor leaves of a piece is filled with small ones."""
        for place, (piece, taken) in enumerate(zip(self._pieces, self._taken, strict=True)):
            if taken + size <= piece.nbytes():
                return place
        self._pieces.append(self._piece_of(size))
        self._taken.append(0)
        return len(self._pieces) - 1

    def _piece_of(self, size: int) -> torch.UntypedStorage:
        idle = _idle.setdefault(self._device, [])
        for place, piece in enumerate(idle):
            if piece.nbytes() >= size:
                return idle.pop(place)
        return torch.UntypedStorage(max(size, PIECE_BYTES), device=self._device)

    def __del__(self) -> None:
        _idle.setdefault(self._device, []).extend(self._pieces)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
