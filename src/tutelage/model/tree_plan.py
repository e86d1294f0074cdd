"""Plan which queries and keys of a prefix tree are multiplied: blocks of queries, each with its keys.

A node attends only to nodes of its own path. The new nodes of each path are cut into blocks of queries; the
keys of a block are those of its path. So no query is computed twice, and the cost grows with the path lengths,
not with the square of the tree size.

    path 1:  a b c d e f       blocks of two queries: [a b] [c d] [e f]
    path 2:  a b c x y         one more: [x y], with the keys a b c x y

Blocks with similar numbers of keys are computed together. A tree of short paths is a single batch; otherwise
the scores of only one batch are in memory at a time. On a CPU, long runs of new nodes do not become blocks:
torch's fused kernel handles them whole (fused_attention.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tutelage.model.fused_attention import Run, has_fused_attention
from tutelage.model.workspace import Workspace
from tutelage.tree.prefix_tree import PrefixTree

QUERIES_PER_BLOCK = 32
# Each block gathers the keys of its path; for long runs of new nodes, larger blocks do so less often.
LONG_RUN, QUERIES_PER_LONG_BLOCK = 512, 128
# From this many new nodes on, torch's fused kernel is at least as fast as blocks, in bfloat16 with AMX and in
# float32.
FUSED_RUN = 768
# Maximum scores in memory at once, over all heads: 16 MB in float32. A single block may exceed it.
SCORES_PER_BATCH = 2**22
# Up to this many scores, every layer keeps its attention weights; for larger trees they are recomputed in the
# backward pass.
SCORES_KEPT = 2**20
# A batch is padded to its longest path, by at most this factor, unless it is smaller than this share of a full
# one.
LARGEST_FILLING, SMALLEST_BATCH = 1.5, 1 / 8
# A CPU compiles a kernel for each new shape, so blocks are padded to a few widths and counts.
KEYS_MULTIPLE, BLOCKS_MULTIPLE = 32, 4
# Activations grow with the nodes; a single row longer than this recomputes them in the backward pass, which
# costs a third more products and needs a tenth of the memory.
MOST_NODES_KEPT = 2048


@dataclass(frozen=True)
class BlockBatch:
    """Blocks that are computed as one product; row indices count over (heads, nodes).

    A padded query points to node 0 and is never read; a padded key lies beyond every depth and is never visible.
    """

    blocks: int
    keys_per_block: int
    scores: int  # over all heads
    queries: torch.Tensor  # (key_heads * blocks * queries * group,) rows of the query tensor
    keys: torch.Tensor  # (key_heads * blocks * keys,) rows of the key tensor
    seen: torch.Tensor  # (blocks, queries, 1, keys) which keys are visible to each query
    is_padding: torch.Tensor  # (blocks, queries, 1, 1)
    query_rows: torch.Tensor  # (heads * own nodes,) query rows that this batch computes
    places: torch.Tensor  # (heads * own nodes,) their positions in the blocks
    key_rows: torch.Tensor  # (key_heads * seen nodes,) key rows that this batch reads
    uses: torch.Tensor  # positions in the blocks where each of them is used, grouped by row
    first_uses: torch.Tensor  # (key_heads * seen nodes,) start of each row's list in `uses`

    def bias(self, dtype: torch.dtype, key_heads: int, group: int) -> torch.Tensor:
        """Return the bias of the scores, (pairs, queries * group, keys): 0 where a key is visible, else -inf."""
        hidden = torch.zeros(self.seen.shape, dtype=dtype, device=self.seen.device).masked_fill_(
            ~self.seen, float("-inf")
        )
        every = hidden.expand(key_heads, -1, -1, group, -1)
        return every.reshape(key_heads * self.blocks, -1, self.keys_per_block)


@dataclass(frozen=True)
class TreePlan:
    """The block batches and long runs of a tree; every node is a query in exactly one of them."""

    batches: tuple[BlockBatch, ...]
    runs: tuple[Run, ...]
    workspace: Workspace  # for activations that the layers keep during this pass
    keeps_layers: bool  # False: a layer keeps only its input
    _biases: dict[torch.dtype, torch.Tensor] = field(init=False, repr=False, default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether a single batch covers all nodes in order."""
        return len(self.batches) == 1 and not self.runs

    @property
    def keeps_weights(self) -> bool:
        """Whether the attention weights are small enough for every layer to keep."""
        return self.is_whole and self.batches[0].scores <= SCORES_KEPT

    def bias(self, batch: BlockBatch, dtype: torch.dtype, key_heads: int, group: int) -> torch.Tensor:
        """Return the bias of a batch; if it is the only batch, all layers share it."""
        if not self.is_whole:
            return batch.bias(dtype, key_heads, group)
        if dtype not in self._biases:
            self._biases[dtype] = batch.bias(dtype, key_heads, group)
        return self._biases[dtype]


@dataclass(frozen=True)
class _Block:
    queries: np.ndarray  # consecutive new nodes of a path
    path: np.ndarray  # from the root to the last query
    size: int  # number of queries after padding


def plan_tree(tree: PrefixTree, *, heads: int, key_heads: int, device: torch.device) -> TreePlan:
    """Cut a tree into blocks, once for all layers of a model."""
    blocks, runs = _cut(tree, device)
    batches = tuple(
        _lay_out(batch, tree, heads=heads, key_heads=key_heads, device=device)
        for batch in _batches_of(blocks, heads=heads)
    )
    return TreePlan(batches, runs, Workspace(device), keeps_layers=len(tree.token_ids) <= MOST_NODES_KEPT)


def _cut(tree: PrefixTree, device: torch.device) -> tuple[list[_Block], tuple[Run, ...]]:
    """Cut the new nodes of each path into blocks; on a CPU, long runs stay whole."""
    blocks: list[_Block] = []
    runs: list[Run] = []
    reached = -1  # nodes are numbered in the order in which sorted paths add them
    for path in sorted(tree.paths, key=lambda path: (path[-1], len(path))):
        begin = int(np.searchsorted(path, reached, side="right"))
        new = len(path) - begin
        if new >= FUSED_RUN and device.type == "cpu" and has_fused_attention():
            before = torch.from_numpy(path[:begin]).to(device) if begin else None
            runs.append(Run(slice(int(path[begin]), int(path[-1]) + 1), before))
        else:
            size = QUERIES_PER_BLOCK if new < LONG_RUN else QUERIES_PER_LONG_BLOCK
            for start in range(begin, len(path), size):
                end = min(start + size, len(path))
                blocks.append(_Block(path[start:end], path[:end], size))
        reached = max(reached, int(path[-1]))
    return blocks, tuple(runs)


def _batches_of(blocks: Sequence[_Block], *, heads: int) -> Iterator[list[_Block]]:
    """Yield all blocks in node order if they fit in one batch, else batches of similar width."""
    if not blocks:
        return
    if len({block.size for block in blocks}) == 1 and _scores_of(blocks, heads) <= SCORES_PER_BATCH:
        yield list(blocks)
        return
    batch: list[_Block] = []
    for block in sorted(blocks, key=lambda block: (block.size, len(block.path))):
        if batch and not _may_join(block, batch, heads):
            yield batch
            batch = []
        batch.append(block)
    yield batch


def _may_join(block: _Block, batch: list[_Block], heads: int) -> bool:
    if block.size != batch[0].size or _scores_of([*batch, block], heads) > SCORES_PER_BATCH:
        return False
    is_small = _scores_of(batch, heads) < SMALLEST_BATCH * SCORES_PER_BATCH
    return is_small or len(block.path) <= LARGEST_FILLING * len(batch[0].path)


def _scores_of(blocks: Sequence[_Block], heads: int) -> int:
    widest = max(len(block.path) for block in blocks)
    return _filled_count(len(blocks)) * blocks[0].size * _filled_up(widest, KEYS_MULTIPLE) * heads


def _lay_out(
    batch: Sequence[_Block], tree: PrefixTree, *, heads: int, key_heads: int, device: torch.device
) -> BlockBatch:
    nodes, group, size = len(tree.token_ids), heads // key_heads, batch[0].size
    blocks = _filled_count(len(batch))
    width = _filled_up(max(len(block.path) for block in batch), KEYS_MULTIPLE)
    queries = np.zeros((blocks, size), dtype=np.int64)
    is_padding = np.ones((blocks, size), dtype=bool)
    keys = np.zeros((blocks, width), dtype=np.int64)
    is_key = np.zeros((blocks, width), dtype=bool)
    for place, block in enumerate(batch):
        queries[place, : len(block.queries)], is_padding[place, : len(block.queries)] = block.queries, False
        keys[place, : len(block.path)], is_key[place, : len(block.path)] = block.path, True
    seen = np.arange(width) <= tree.depths[queries][:, :, None]  # a key's position in its path is its depth

    own, own_places = queries[~is_padding], np.flatnonzero(~is_padding)
    in_order = np.argsort(own)
    own, own_places = own[in_order], own_places[in_order]
    used_at = np.flatnonzero(is_key)[np.argsort(keys[is_key], kind="stable")]
    used, counts = np.unique(keys[is_key], return_counts=True)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])

    each_head, each_key_head = np.arange(heads)[:, None], np.arange(key_heads)[:, None]
    in_group = np.arange(group)[None, None, :]
    head_major = (each_key_head[:, :, None] * group + in_group) * nodes + queries.reshape(1, -1, 1)
    places = (each_head // group * blocks * size + own_places) * group + each_head % group

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return BlockBatch(
        blocks,
        width,
        scores=blocks * size * width * heads,
        queries=tensor(head_major.reshape(-1)),
        keys=tensor((each_key_head * nodes + keys.reshape(1, -1)).reshape(-1)),
        seen=tensor(seen[:, :, None, :]),
        is_padding=tensor(is_padding[:, :, None, None]),
        query_rows=tensor((each_head * nodes + own).reshape(-1)),
        places=tensor(places.reshape(-1)),
        key_rows=tensor((each_key_head * nodes + used).reshape(-1)),
        uses=tensor((each_key_head * blocks * width + used_at).reshape(-1)),
        first_uses=tensor((each_key_head * len(used_at) + first).reshape(-1)),
    )


def _filled_count(blocks: int) -> int:
    """Return the padded number of blocks; small batches are not padded, as extra wide blocks cost more than a
    kernel.
    """
    return _filled_up(blocks, BLOCKS_MULTIPLE) if blocks > BLOCKS_MULTIPLE else blocks


def _filled_up(count: int, multiple: int) -> int:
    return count + -count % multiple
