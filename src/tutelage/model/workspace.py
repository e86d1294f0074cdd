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
        self._device = device
        self._taken = 0  # bytes of the last piece

    def empty(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        """Return a contiguous tensor of a shape with whatever values the memory holds."""
        size = math.prod(shape) * dtype.itemsize
        if not self._pieces or self._taken + size > self._pieces[-1].nbytes():
            self._pieces.append(self._piece_of(size))
            self._taken = 0
        begin = self._taken // dtype.itemsize
        self._taken += size + -size % ALIGNED_BYTES
        # Unlike a view, it does not share the count of changes by which autograd guards what it has saved.
        tensor = torch.empty(0, dtype=dtype, device=self._device)
        return tensor.set_(self._pieces[-1], begin, shape, _contiguous(shape))

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
