"""Which queries and keys of a prefix tree are multiplied with each other: blocks of queries, and the keys of each.

A node sees the nodes of its own path only. The new nodes of each path are cut into blocks of queries; the keys of a
block are those of its path. So no query is computed twice, and the cost grows with the lengths of the paths, not with
the square of the tree.

    path 1:  a b c d e f       blocks of two queries: [a b] [c d] [e f]
    path 2:  a b c x y         one more: [x y], with the keys a b c x y
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from tutelage.data.prefix_tree import PrefixTree
from tutelage.model.workspace import Workspace

QUERIES_PER_BLOCK = 32
# A CPU makes the kernel of a product anew for every shape, so blocks are filled up to few widths and few counts.
KEYS_MULTIPLE, BLOCKS_MULTIPLE = 32, 4


@dataclass(frozen=True)
class TreePlan:
    """Which rows of queries and keys form which block; rows are counted over (heads, nodes).

    A padded query stands for node 0 and is never read; a padded key lies beyond every depth and is never seen.
    """

    blocks: int
    keys_per_block: int
    queries: torch.Tensor  # (key_heads * blocks * queries * group,) rows of the query tensor
    keys: torch.Tensor  # (key_heads * blocks * keys,) rows of the key tensor
    seen: torch.Tensor  # (blocks, queries, 1, keys) which key each query sees
    is_padding: torch.Tensor  # (blocks, queries, 1, 1)
    places: torch.Tensor  # (heads * nodes,) where in the blocks each query is
    uses: torch.Tensor  # where in the blocks each key is used, node after node
    first_uses: torch.Tensor  # (key_heads * nodes,) where in `uses` each key's list begins
    workspace: Workspace  # for what the layers keep of the pass that the plan is made for
    _biases: dict[torch.dtype, torch.Tensor] = field(init=False, repr=False, default_factory=dict)

    def bias(self, dtype: torch.dtype, key_heads: int, group: int) -> torch.Tensor:
        """Return what is added to the scores, (pairs, queries * group, keys): 0 where a key is seen, else -inf."""
        if dtype not in self._biases:
            hidden = torch.zeros(self.seen.shape, dtype=dtype, device=self.seen.device).masked_fill_(
                ~self.seen, float("-inf")
            )
            every = hidden.expand(key_heads, -1, -1, group, -1)
            self._biases[dtype] = every.reshape(key_heads * self.blocks, -1, self.keys_per_block)
        return self._biases[dtype]


def plan_tree(tree: PrefixTree, *, heads: int, key_heads: int, device: torch.device) -> TreePlan:
    """Cut the tree into blocks, once for all layers of a model with so many heads."""
    block_queries, block_paths = _cut_into_blocks(tree)
    nodes, group = len(tree.token_ids), heads // key_heads
    blocks = _filled_up(len(block_queries), BLOCKS_MULTIPLE)
    width = _filled_up(max(len(path) for path in block_paths), KEYS_MULTIPLE)
    queries = np.zeros((blocks, QUERIES_PER_BLOCK), dtype=np.int64)
    is_padding = np.ones((blocks, QUERIES_PER_BLOCK), dtype=bool)
    keys = np.zeros((blocks, width), dtype=np.int64)
    is_key = np.zeros((blocks, width), dtype=bool)
    for block, (own, path) in enumerate(zip(block_queries, block_paths, strict=True)):
        queries[block, : len(own)], is_padding[block, : len(own)] = own, False
        keys[block, : len(path)], is_key[block, : len(path)] = path, True
    seen = np.arange(width) <= tree.depths[queries][:, :, None]  # a key's place in its path is its depth
    places = np.zeros(nodes, dtype=np.int64)
    places[queries[~is_padding]] = np.flatnonzero(~is_padding)

    key_head = np.arange(key_heads)[:, None, None]
    in_group = np.arange(group)[None, None, :]
    head_major = (key_head * group + in_group) * nodes + queries.reshape(1, -1, 1)
    places_by_head = (
        key_head * blocks * QUERIES_PER_BLOCK + places[None, None, :]
    ) * group + in_group.reshape(1, -1, 1)
    used_at = np.flatnonzero(is_key)[np.argsort(keys[is_key], kind="stable")]
    counts = np.bincount(keys[is_key], minlength=nodes)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    each_key_head = np.arange(key_heads)[:, None]

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return TreePlan(
        blocks,
        width,
        queries=tensor(head_major.reshape(-1)),
        keys=tensor((each_key_head * nodes + keys.reshape(1, -1)).reshape(-1)),
        seen=tensor(seen[:, :, None, :]),
        is_padding=tensor(is_padding[:, :, None, None]),
        places=tensor(places_by_head.reshape(-1)),
        uses=tensor((each_key_head * blocks * width + used_at).reshape(-1)),
        first_uses=tensor((each_key_head * len(used_at) + first).reshape(-1)),
        workspace=Workspace(device),
    )


def _filled_up(count: int, multiple: int) -> int:
    return count + -count % multiple


def _cut_into_blocks(tree: PrefixTree) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return, for each block, its query nodes, and the path from the root to the last of them."""
    block_queries: list[np.ndarray] = []
    block_paths: list[np.ndarray] = []
    reached = -1  # nodes stand in the order in which sorted paths add them
    for path in sorted(tree.paths, key=lambda path: (path[-1], len(path))):
        begin = int(np.searchsorted(path, reached, side="right"))
        for start in range(begin, len(path), QUERIES_PER_BLOCK):
            end = min(start + QUERIES_PER_BLOCK, len(path))
            block_queries.append(path[start:end])
            block_paths.append(path[:end])
        reached = max(reached, int(path[-1]))
    return block_queries, block_paths
