"""Answer prompts in parallel, one token per step; finished answers free their slots, and others can join at any
step.

The keys and values of the prompts are computed over their prefix tree. The common prefix of all prompts in a
batch is stored once; the rest of each prompt is copied into a slot, which then grows by one token per step.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tutelage.generation.slots import Layers, Slots
from tutelage.model.cache_name import CACHE
from tutelage.model.forward import MAX_NODES, CausalModel, run_tree, undressed
from tutelage.model.linear_groups import LinearGroup, project
from tutelage.tree.batches import runs_within
from tutelage.tree.prefix_tree import PrefixTree, common_prefix_length, merge_prompts

# Compacting the slots costs as much as a few steps, so it waits until this share of them is free.
SHARE_TO_CLOSE_UP = 0.125
# A shorter prefix costs less in every slot than as a separate product.
FEWEST_SHARED = 16


def is_time_to_refill(*, size: int, busy: int, share_to_refill: float) -> bool:
    """Return whether enough of a batch is free to read in waiting prompts."""
    return size - busy >= max(1.0, share_to_refill * size)


def is_time_to_close_up(*, slots: int, busy: int) -> bool:
    """Return whether enough slots are free to compact the others, if no prompt is waiting."""
    return slots - busy >= max(1, SHARE_TO_CLOSE_UP * slots)


@dataclass(frozen=True)
class NextTokens:
    """logits: (all, vocabulary); rows[i] of the logits predicts the next token of answer keys[i]."""

    logits: torch.Tensor
    rows: Sequence[int]
    keys: Sequence[int]


class Batch(Protocol):
    """A batch of answers, each identified by the key of its prompt."""

    @property
    def is_busy(self) -> bool: ...

    def ask(self, key: int, prompt: Sequence[int]) -> None:
        """Add a prompt to the queue."""
        ...

    def step(self) -> NextTokens:
        """Compute next-token logits for some of the answers; the caller must give each a token or end it."""
        ...

    def give(self, key: int, token: int) -> None: ...

    def end(self, key: int) -> None:
        """Drop an answer, whether it has started or not."""
        ...


def make_batch(model: CausalModel, *, size: int, share_to_refill: float = 0.0) -> Batch:
    """Return an empty batch for at most `size` answers at once.

    Waiting prompts are read once `share_to_refill` of the batch is free: a small share reduces the wait for
    each answer, and a large one the total time.
    """
    model.module.eval()
    return OneByOne(model) if model.is_padded else ContinuousBatch(model, size, share_to_refill)


class ContinuousBatch:
    """A batch over the slots of one cache; there are as many slots as were ever needed at once, up to `size`."""

    def __init__(self, model: CausalModel, size: int, share_to_refill: float) -> None:
        self._model = model
        self._size = size
        self._share_to_refill = share_to_refill
        self._waiting: deque[tuple[int, Sequence[int]]] = deque()
        self._owners: list[int | None] = []  # which answer each slot holds
        self._tokens: list[int] = []  # next input token of each slot
        self._slots = Slots(0)
        self._shared: tuple[int, ...] = ()  # common prefix of prompts, not stored in the slots
        self._head = None if model.frozen_head is None else LinearGroup([model.frozen_head]).weights(())

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting) or any(owner is not None for owner in self._owners)

    def ask(self, key: int, prompt: Sequence[int]) -> None:
        self._waiting.append((key, prompt))

    @torch.no_grad()
    def step(self) -> NextTokens:
        busy = [place for place, owner in enumerate(self._owners) if owner is not None]
        if self._waiting and is_time_to_refill(
            size=self._size, busy=len(busy), share_to_refill=self._share_to_refill
        ):
            return self._refill(self._size - len(busy))
        if not self._waiting and is_time_to_close_up(slots=len(self._owners), busy=len(busy)):
            self._close_up(busy)
            busy = list(range(len(busy)))
        logits = self._decode()
        self._slots.end_step(busy)
        return NextTokens(logits, busy, [self._owner(place) for place in busy])

    def give(self, key: int, token: int) -> None:
        self._tokens[self._owners.index(key)] = token

    def end(self, key: int) -> None:
        if key not in self._owners:
            self._waiting = deque(asked for asked in self._waiting if asked[0] != key)
            return
        place = self._owners.index(key)
        self._owners[place] = None
        self._slots.free(place)
        if not any(owner is not None for owner in self._owners) and not self._waiting:
            self._owners, self._tokens, self._slots = [], [], Slots(0)  # free the memory of long prompts

    def _owner(self, place: int) -> int:
        owner = self._owners[place]
        assert owner is not None
        return owner

    def _close_up(self, busy: list[int]) -> None:
        order = self._slots.keep(busy)
        self._owners = [self._owners[slot] for slot in order]
        self._tokens = [self._tokens[slot] for slot in order]

    def _refill(self, room: int) -> NextTokens:
        """Read the longest-waiting prompts into free slots."""
        if not self._owners:
            self._shared = _beginning([prompt for _, prompt in self._waiting])
        begun = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        free = [place for place, owner in enumerate(self._owners) if owner is None]
        missing = max(0, len(begun) - len(free))
        if missing:
            free += range(len(self._owners), len(self._owners) + missing)
            self._owners += [None] * missing
            self._tokens += [0] * missing
            self._slots.grow(missing)
        places = free[: len(begun)]
        for place, (key, _) in zip(places, begun, strict=True):
            self._owners[place] = key
        logits = self._prefill([tuple(prompt) for _, prompt in begun], places)
        return NextTokens(logits, range(len(begun)), [key for key, _ in begun])

    def _prefill(self, prompts: Sequence[tuple[int, ...]], places: Sequence[int]) -> torch.Tensor:
        """Read prompts into slots; return their next-token logits, (prompts, vocabulary)."""
        found: dict[int, torch.Tensor] = {}
        for run in runs_within(prompts, distinct_tokens=MAX_NODES):
            read = _read(self._model, [prompts[index] for index in run])
            self._fill([prompts[index] for index in run], read, [places[index] for index in run])
            found.update(zip(run, read.logits, strict=True))
        return torch.stack([found[index] for index in range(len(prompts))])

    def _fill(self, prompts: Sequence[tuple[int, ...]], read: "_ReadPrompts", places: Sequence[int]) -> None:
        """Copy prompts into slots, without the shared prefix if they start with it."""
        shared = len(self._shared)
        follows = [shared > 0 and prompt[:shared] == self._shared for prompt in prompts]
        if self._slots.shared is None and any(follows):
            self._slots.share(read.layers([follows.index(True)], [range(shared)]))
        own = [range(shared if one else 0, len(prompt)) for one, prompt in zip(follows, prompts, strict=True)]
        layers = read.layers(range(len(prompts)), own)
        self._slots.fill(places, layers, list(map(len, own)), follows=follows)

    def _decode(self) -> torch.Tensor:
        """Append one token to each slot; return the logits of the next, (slots, vocabulary)."""
        model = self._model
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(self._tokens, device=model.device)[:, None],
            "position_ids": self._slots.positions[:, None],
            "attention_mask": self._slots.begin_step()[:, None, None, :],  # (slots, 1, 1, columns)
            CACHE: self._slots,
            "use_cache": True,
        }
        if self._slots.shared is not None:
            inputs["shared_prefix"] = self._slots.shared
        with model.autocast():
            if self._head is None:
                return model.module(**inputs).logits[:, -1]
            return project(undressed(model.module).base_model(**inputs).last_hidden_state[:, -1], self._head)


def _beginning(prompts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the common prefix of all prompts, or () if it is too short to store separately."""
    if len(prompts) < 2:
        return ()
    in_order = sorted(map(tuple, prompts))
    shared = common_prefix_length(in_order[0], in_order[-1])
    return in_order[0][:shared] if shared >= FEWEST_SHARED else ()


@dataclass(frozen=True)
class _ReadPrompts:
    """Prompts as paths of a tree that the model has run on; `cache` holds keys and values by node."""

    tree: PrefixTree
    logits: torch.Tensor  # (prompts, vocabulary) of the token after each prompt
    cache: Any

    def layers(self, rows: Sequence[int], parts: Sequence[range]) -> Layers:
        """Yield the keys and values of each layer for a part of some prompts, left-aligned, one row per prompt."""
        nodes = torch.zeros(len(rows), max(map(len, parts)), dtype=torch.int64)  # padded with node 0
        for place, (row, part) in enumerate(zip(rows, parts, strict=True)):
            nodes[place, : len(part)] = torch.from_numpy(self.tree.paths[row][part.start : part.stop])
        columns = nodes.to(self.logits.device)
        return (
            (layer.keys[0][:, columns].transpose(0, 1), layer.values[0][:, columns].transpose(0, 1))
            for layer in self.cache.layers
        )


def _read(model: CausalModel, prompts: Sequence[tuple[int, ...]]) -> _ReadPrompts:
    tree = merge_prompts(prompts)
    leaves, of_row = torch.tensor([path[-1] for path in tree.paths], device=model.device).unique(
        return_inverse=True
    )
    output = run_tree(model, tree, logits_to_keep=leaves, use_cache=True)
    return _ReadPrompts(tree, output.logits[0][of_row], output[CACHE])


class OneByOne:
    """A batch that answers prompts one at a time from their whole text, for models without a usable cache."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self._texts: dict[int, list[int]] = {}  # in the order of the requests

    @property
    def is_busy(self) -> bool:
        return bool(self._texts)

    def ask(self, key: int, prompt: Sequence[int]) -> None:
        self._texts[key] = list(prompt)

    @torch.no_grad()
    def step(self) -> NextTokens:
        key, text = next(iter(self._texts.items()))
        ids = torch.tensor([text], device=self._model.device)
        with self._model.autocast():
            logits = self._model.module(ids, use_cache=False).logits[:, -1]
        return NextTokens(logits, [0], [key])

    def give(self, key: int, token: int) -> None:
        self._texts[key].append(token)

    def end(self, key: int) -> None:
        self._texts.pop(key, None)
