"""Memory for activations that a forward pass keeps, in large pieces that the next pass reuses.

Allocated one by one, tensors whose sizes change at every step fragment the heap: after twenty steps of a small
model, 400 MB were lost that way, twice what was kept.
"""

import math

import torch

PIECE_BYTES = 2**24
ALIGNED_BYTES = 64

_idle: dict[torch.device, list[torch.UntypedStorage]] = {}


class Workspace:
    """The memory of one forward pass; its pieces become available again when it is deleted.

    It must outlive the tensors that it returns, so a pass must not return any of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._pieces: list[torch.UntypedStorage] = []
        self._taken: list[int] = []  # bytes of each piece
        self._device = device

    def empty(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        """Return an uninitialized contiguous tensor."""
        size = math.prod(shape) * dtype.itemsize
        place = self._place_for(size)
        begin = self._taken[place] // dtype.itemsize
        self._taken[place] += size + -size % ALIGNED_BYTES
        # Unlike a view, this does not share the version counter that autograd uses to protect saved tensors.
        tensor = torch.empty(0, dtype=dtype, device=self._device)
        return tensor.set_(self._pieces[place], begin, shape, _contiguous(shape))

    def _place_for(self, size: int) -> int:
        """Return the first piece with enough room, so that small tensors fill the gaps that large ones leave."""
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
