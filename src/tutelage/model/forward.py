"""Compute the log-probability of every supervised token of a prefix tree; all runs of a model go through here."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from tutelage.model.cache_name import CACHE
from tutelage.model.log_probs import frozen_head_log_probs, label_set_log_probs, log_probs_of
from tutelage.model.tree_plan import plan_tree
from tutelage.tree.prefix_tree import PrefixTree

# A CPU compiles a kernel for each new number of rows, which takes longer than the product itself. Trees are
# therefore padded to a multiple of this; no real node attends to the padding, and its output is not read.
NODES_MULTIPLE = 32
# Activations kept for the backward pass grow with the nodes, so more work is split into trees of this size.
MAX_NODES = 2048


@dataclass(frozen=True)
class CausalModel:
    """A loaded model with its device and the dtype of its matrix products.

    `frozen_head` is set if the logits are just the product of the body's output and an untrained head; the full
    logits are then never computed. `fallback_reason` says why a model cannot run on prefix trees; it then runs
    on padded batches with transformers' own attention. `label_sets`, (sets, labels) bool, are the sets that
    targets refer to if texts have several labels; the head then has one row per label. `most_nodes` limits the
    size of a tree with a backward pass.
    """

    module: Any
    device: torch.device
    compute_dtype: torch.dtype
    frozen_head: torch.nn.Linear | None = None
    fallback_reason: str | None = None
    fallback_code: str | None = None
    label_sets: torch.Tensor | None = None
    most_nodes: int = MAX_NODES

    @property
    def is_padded(self) -> bool:
        return self.fallback_reason is not None

    def autocast(self) -> AbstractContextManager[Any]:
        """Cast weights to the compute dtype on the fly if the module keeps all of them in float32."""
        if self.module.dtype == self.compute_dtype:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.compute_dtype)


def target_log_probs(
    model: CausalModel, tree: PrefixTree, *, is_correct: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the log-probability (nats) of every target in a tree: (targets,), at least float32.

    Only nodes that predict a target reach the head, once per distinct target. If given, `is_correct`, (targets,) bool,
    is set to whether each target is the model's most probable token.
    """
    if model.is_padded:
        return padded_log_probs(model, tree, is_correct=is_correct)
    pairs = torch.from_numpy(tree.target_parents), torch.from_numpy(tree.target_ids)
    distinct, of_target = torch.stack(pairs).to(model.device).unique(dim=1, return_inverse=True)
    parents, ids = distinct  # each (pairs,)
    of_pairs = None if is_correct is None else is_correct.new_empty(len(ids))  # (pairs,)
    if model.frozen_head is None:
        logits = run_tree(model, tree, logits_to_keep=parents, use_cache=False).logits[
            0
        ]  # (pairs, vocabulary)
        log_probs = _of_logits(model, logits, ids, of_pairs)
    else:
        body = undressed(model.module).base_model
        with model.autocast():
            hidden = body(**_inputs(model, tree), use_cache=False).last_hidden_state[0]  # (nodes, hidden)
        log_probs = frozen_head_log_probs(hidden[parents], model.frozen_head, ids, of_pairs)
    if is_correct is not None and of_pairs is not None:
        is_correct[:] = of_pairs[of_target]
    return log_probs[of_target]


def padded_log_probs(
    model: CausalModel, tree: PrefixTree, *, padding: int = 0, is_correct: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the same from a batch padded on the right, where the padding is never attended to: (targets,).

    `padding` is the number of columns to add beyond the longest row.
    """
    ids = np.zeros((len(tree.paths), max(map(len, tree.paths)) + padding), dtype=np.int64)
    for row, path in enumerate(tree.paths):
        ids[row, : len(path)] = tree.token_ids[path]
    with model.autocast():
        logits = model.module(torch.from_numpy(ids).to(model.device), use_cache=False).logits
    columns = tree.depths[tree.target_parents]
    wanted = logits[
        torch.from_numpy(tree.target_examples), torch.from_numpy(columns)
    ]  # (targets, vocabulary)
    return _of_logits(model, wanted, torch.from_numpy(tree.target_ids).to(model.device), is_correct)


def _of_logits(
    model: CausalModel, logits: torch.Tensor, ids: torch.Tensor, is_correct: torch.Tensor | None
) -> torch.Tensor:
    """Return the log-probability of one token, class or label set per row: (rows,)."""
    if model.label_sets is None:
        return log_probs_of(logits, ids, is_correct)
    assert is_correct is None, "a label set is no single argmax"
    return label_set_log_probs(logits, model.label_sets[ids])


def run_tree(model: CausalModel, tree: PrefixTree, *, logits_to_keep: torch.Tensor, use_cache: bool) -> Any:
    """Run the model on the nodes of a tree as one packed row; `position_ids` are the node depths."""
    # The cache that a model creates drops nodes outside a sliding window, although no single path is that long.
    cache = {CACHE: DynamicCache()} if use_cache else {}
    with model.autocast():
        return model.module(
            **_inputs(model, tree), **cache, logits_to_keep=logits_to_keep, use_cache=use_cache
        )


def undressed(module: Any) -> Any:
    """Return the model inside peft's wrapper; its layers keep their adapters."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module


def _inputs(model: CausalModel, tree: PrefixTree) -> dict[str, Any]:
    tree = _filled(tree)
    config = model.module.config
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    return {
        "input_ids": torch.from_numpy(tree.token_ids).to(model.device)[None],  # (1, nodes)
        "position_ids": torch.from_numpy(tree.depths).to(model.device)[None],  # (1, nodes)
        "tree_plan": plan_tree(tree, heads=heads, key_heads=key_heads, device=model.device),
    }


def _filled(tree: PrefixTree) -> PrefixTree:
    """Pad a tree with a path of unused nodes, up to the next multiple of NODES_MULTIPLE."""
    nodes = len(tree.token_ids)
    missing = -nodes % NODES_MULTIPLE
    if not missing:
        return tree
    return replace(
        tree,
        token_ids=np.append(tree.token_ids, np.zeros(missing, dtype=np.int64)),
        depths=np.append(tree.depths, np.arange(missing)),
        paths=[*tree.paths, np.arange(nodes, nodes + missing)],
    )
