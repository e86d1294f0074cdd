"""Keys and values of the rows that are answered at once; each stands in a slot that another takes when it is done."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import Cache

# Room grows by so many columns, and products run over all of it: over a part of it they take five times as long.
COLUMNS_MULTIPLE = 32

# Of each layer, keys and values: (rows, key_heads, columns, size).
Layers = Sequence[tuple[torch.Tensor, torch.Tensor]]


class Slots(Cache):
    """A cache whose rows begin at column 0 and have lengths of their own; what lies beyond a length is never seen."""

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self._layers: list[list[torch.Tensor]] = []
        self._next: list[
            torch.Tensor
        ] = []  # of keys and of values, where in a layer each slot's next token goes
        self.lengths = torch.zeros(slots, dtype=torch.int64)

    def fill(self, slots: Sequence[int], layers: Layers, lengths: Sequence[int]) -> None:
        """Put rows into free slots."""
        device = layers[0][0].device
        if not self._layers:
            self.lengths = self.lengths.to(device)
            self._layers = [
                [part.new_zeros(len(self.lengths), part.shape[1], 0, part.shape[3]) for part in layer]
                for layer in layers
            ]
        self._make_room(max(lengths))
        places = torch.tensor(slots, device=device)
        for room, filling in zip(self._layers, layers, strict=True):
            for whole, part in zip(room, filling, strict=True):
                whole[places, :, : part.shape[2]] = part
        self.lengths[places] = torch.tensor(lengths, device=device)

    def grow(self, slots: int) -> None:
        """Add so many free slots behind the others."""
        self.lengths = pad(self.lengths, (0, slots))
        self._exchange(lambda part: pad(part, (0, 0, 0, 0, 0, 0, 0, slots)))

    def free(self, slot: int) -> None:
        self.lengths[slot] = 0

    def keep(self, slots: Sequence[int]) -> None:
        """Leave out all other slots; the ones kept are counted anew, in the order given."""
        places = torch.tensor(slots, device=self.lengths.device)
        self._exchange(lambda part: part[places])
        self.lengths = self.lengths[places]

    def begin_step(self) -> torch.Tensor:
        """Make room for a token in every slot; return which columns each will see: (slots, columns)."""
        self._make_room(int(self.lengths.max()) + 1)
        self._next = [
            (
                torch.arange(part.shape[0] * part.shape[1], device=part.device) * part.shape[2]
                + self.lengths.repeat_interleave(part.shape[1])
            )
            for part in self._layers[0]
        ]
        columns = torch.arange(self._layers[0][0].shape[2], device=self.lengths.device)
        return columns <= self.lengths[:, None]

    def update(  # type: ignore[override]
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write each slot's token, (slots, key_heads, 1, size), where the step began; return all columns."""
        layer = self._layers[layer_idx]
        for whole, places, part in zip(layer, self._next, (key_states, value_states), strict=True):
            size = whole.shape[3]
            # Autocast gives a token the type of the products where the prefill had that of the weights.
            token = part.reshape(-1, size).to(whole.dtype)
            whole.view(-1, size).index_copy_(0, places, token)
        return layer[0], layer[1]

    def end_step(self, slots: Sequence[int]) -> None:
        """Count the token that was written for these slots; what others wrote is written over."""
        self.lengths[torch.tensor(slots, device=self.lengths.device)] += 1

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the length of the longest row; positions are always given, so nothing is counted from it."""
        return int(self.lengths.max())

    def _make_room(self, columns: int) -> None:
        missing = columns - self._layers[0][0].shape[2]
        if missing > 0:
            more = -(-missing // COLUMNS_MULTIPLE) * COLUMNS_MULTIPLE
            self._exchange(lambda part: pad(part, (0, 0, 0, more)))

    def _exchange(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Put a changed tensor in the place of each; one at a time, or for a while all would be there twice."""
        for layer in self._layers:
            for place, part in enumerate(layer):
                layer[place] = change(part)
