"""Keys and values of the rows that are answered at once; each stands in a slot that another takes when it is done.

The tokens with which the rows begin alike are held once, and every slot holds what follows them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import Cache

from tutelage.model.tree_attention import SharedPrefix

# Room grows by so many columns, and products run over all of it: over a part of it they take five times as long.
COLUMNS_MULTIPLE = 32

# Of each layer, keys and values, (rows, key_heads, columns, size); one at a time, or all would be there twice.
Layers = Iterable[tuple[torch.Tensor, torch.Tensor]]


class Slots(Cache):
    """A cache whose rows begin at column 0 and have lengths of their own; what lies beyond a length is never seen."""

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self._layers: list[list[torch.Tensor]] = []
        self._next: list[
            torch.Tensor
        ] = []  # of keys and of values, where in a layer each slot's next token goes
        self.lengths = torch.zeros(slots, dtype=torch.int64)  # of what is in each slot
        self.shared: SharedPrefix | None = None
        self._follows = torch.zeros(
            slots, dtype=torch.bool
        )  # whether a slot's row begins with what is shared

    def share(self, layers: Layers) -> None:
        """Hold the keys and values of the tokens with which rows may begin; of one row a layer."""
        self.shared = SharedPrefix(tuple((keys[0].clone(), values[0].clone()) for keys, values in layers))

    def fill(
        self, slots: Sequence[int], layers: Layers, lengths: Sequence[int], *, follows: Sequence[bool]
    ) -> None:
        """Put rows into free slots; those that follow what is shared without it."""
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
        """Add so many free slots behind the others."""
        self.lengths, self._follows = (pad(part, (0, slots)) for part in (self.lengths, self._follows))
        self._exchange(lambda part: pad(part, (0, 0, 0, 0, 0, 0, 0, slots)))

    def free(self, slot: int) -> None:
        self.lengths[slot] = 0

    def keep(self, slots: Sequence[int]) -> list[int]:
        """Leave out all other slots; return which of them stands in each place now.

        Only the last ones move, into the places of those that are left out: to move all would copy every key and value.
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
        """Return where in its row each slot's next token stands: (slots,)."""
        return self.lengths if self.shared is None else self.lengths + self._follows * self.shared.tokens

    def begin_step(self) -> torch.Tensor:
        """Make room for a token in every slot; return what each will see, (slots, tokens shared + columns)."""
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
        """Write each slot's token, (slots, key_heads, 1, size), where the step began; return the slots' columns."""
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
        return int(self.positions.max())

    def _room_like(self, part: torch.Tensor) -> torch.Tensor:
        """Return empty columns of all slots, as many as `part` needs."""
        columns = -(-part.shape[2] // COLUMNS_MULTIPLE) * COLUMNS_MULTIPLE
        return part.new_zeros(len(self.lengths), part.shape[1], columns, part.shape[3])

    def _make_room(self, columns: int) -> None:
        missing = columns - self._layers[0][0].shape[2] if self._layers else 0
        if missing > 0:
            more = -(-missing // COLUMNS_MULTIPLE) * COLUMNS_MULTIPLE
            self._exchange(lambda part: pad(part, (0, 0, 0, more)))

    def _exchange(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Put a changed tensor in the place of each; one at a time, or for a while all would be there twice."""
        for layer in self._layers:
            for place, part in enumerate(layer):
                layer[place] = change(part)
