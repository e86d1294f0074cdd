"""A key-value cache for rows that are answered in parallel; each row has a slot, which is reused when it is
done.

A prefix that the rows share is stored once; each slot holds what comes after it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import Cache

from tutelage.model.tree_attention import SharedPrefix

# The cache grows by this many columns. Products always cover all of it: on a part of it they are five times
# slower.
COLUMNS_MULTIPLE = 32

# Keys and values of each layer, (rows, key_heads, columns, size); a lazy iterable, so that only one layer
# exists twice.
Layers = Iterable[tuple[torch.Tensor, torch.Tensor]]


class Slots(Cache):
    """A cache whose rows start at column 0 and have different lengths; columns beyond a row's length are
    masked.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self._layers: list[list[torch.Tensor]] = []
        self._next: list[torch.Tensor] = []  # for keys and values: index of each slot's next token in a layer
        self.lengths = torch.zeros(slots, dtype=torch.int64)  # length of each slot's content
        self.shared: SharedPrefix | None = None
        self._follows = torch.zeros(
            slots, dtype=torch.bool
        )  # whether the slot's row starts with the shared prefix

    def share(self, layers: Layers) -> None:
        """Store the keys and values of the shared prefix; each layer has one row."""
        self.shared = SharedPrefix(tuple((keys[0].clone(), values[0].clone()) for keys, values in layers))

    def fill(
        self, slots: Sequence[int], layers: Layers, lengths: Sequence[int], *, follows: Sequence[bool]
    ) -> None:
        """Write rows into free slots; rows that follow the shared prefix come without it."""
        self._make_room(max(lengths))
        places = torch.tensor(slots)
        for number, filling in enumerate(layers):
            if number == len(self._layers):
                self._layers.append([self._room_like(part) for part in filling])
            for whole, part in zip(self._layers[number], filling, strict=True):
                whole[places.to(part.device), :, : part.shape[2]] = part
        device = self._layers[0][0].device
        self.lengths, self._follows = self.lengths.to(device), self._follows.to(device)
        self.lengths[places.to(device)] = torch.tensor(lengths, device=device)
        self._follows[places.to(device)] = torch.tensor(follows, device=device)

    def grow(self, slots: int) -> None:
        """Append `slots` free slots."""
        self.lengths, self._follows = (pad(part, (0, slots)) for part in (self.lengths, self._follows))
        self._exchange(lambda part: pad(part, (0, 0, 0, 0, 0, 0, 0, slots)))

    def free(self, slot: int) -> None:
        self.lengths[slot] = 0

    def keep(self, slots: Sequence[int]) -> list[int]:
        """Keep only these slots; return the old slot at each position.

        Only the last slots move, into the gaps: moving all of them would copy every key and value.
        """
        kept = len(slots)
        staying = set(range(kept)).intersection(slots)
        free = [place for place in range(kept) if place not in staying]
        moved = [slot for slot in slots if slot >= kept]
        device = self.lengths.device
        to, source = torch.tensor(free, device=device).long(), torch.tensor(moved, device=device).long()

        def closed_up(part: torch.Tensor) -> torch.Tensor:
            part[to] = part[source]
            return part[:kept]

        self._exchange(closed_up)
        self.lengths, self._follows = closed_up(self.lengths), closed_up(self._follows)
        order = list(range(kept))
        for place, slot in zip(free, moved, strict=True):
            order[place] = slot
        return order

    @property
    def positions(self) -> torch.Tensor:
        """Position of each slot's next token in its row: (slots,)."""
        return self.lengths if self.shared is None else self.lengths + self._follows * self.shared.tokens

    def begin_step(self) -> torch.Tensor:
        """Make room for one token in every slot; return the mask of visible columns, (slots, shared tokens +
        columns).
        """
        self._make_room(int(self.lengths.max()) + 1)
        self._next = [
            (
                torch.arange(part.shape[0] * part.shape[1], device=part.device) * part.shape[2]
                + self.lengths.repeat_interleave(part.shape[1])
            )
            for part in self._layers[0]
        ]
        columns = torch.arange(self._layers[0][0].shape[2], device=self.lengths.device)
        seen = columns <= self.lengths[:, None]
        if self.shared is None:
            return seen
        return torch.cat([self._follows[:, None].expand(-1, self.shared.tokens), seen], dim=1)

    def update(  # type: ignore[override]
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write each slot's token, (slots, key_heads, 1, size), at its next column; return all keys and values
        of the layer.
        """
        layer = self._layers[layer_idx]
        for whole, places, part in zip(layer, self._next, (key_states, value_states), strict=True):
            size = whole.shape[3]
            # Under autocast, tokens have the compute dtype, but the prefill has the dtype of the weights.
            token = part.reshape(-1, size).to(whole.dtype)
            whole.view(-1, size).index_copy_(0, places, token)
        return layer[0], layer[1]

    def end_step(self, slots: Sequence[int]) -> None:
        """Count the written token for these slots; tokens in other slots will be overwritten."""
        self.lengths[torch.tensor(slots, device=self.lengths.device)] += 1

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the length of the longest row; not used for positions, which are always passed explicitly."""
        return int(self.positions.max())

    def _room_like(self, part: torch.Tensor) -> torch.Tensor:
        """Return empty columns for all slots, as many as `part` needs."""
        columns = -(-part.shape[2] // COLUMNS_MULTIPLE) * COLUMNS_MULTIPLE
        return part.new_zeros(len(self.lengths), part.shape[1], columns, part.shape[3])

    def _make_room(self, columns: int) -> None:
        missing = columns - self._layers[0][0].shape[2] if self._layers else 0
        if missing > 0:
            more = -(-missing // COLUMNS_MULTIPLE) * COLUMNS_MULTIPLE
            self._exchange(lambda part: pad(part, (0, 0, 0, more)))

    def _exchange(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Replace every tensor with a changed one, one at a time so that only one exists twice."""
        for layer in self._layers:
            for place, part in enumerate(layer):
                layer[place] = change(part)
