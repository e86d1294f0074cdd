"""Shows what the model is trained on: rows in tokens, those that it learns from marked, and the tree of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.batches import micro_batches
from tutelage.data.drawing import Branch, branches_of, shortened
from tutelage.data.examples import Example, PreparedRow
from tutelage.data.pieces import Decode, Piece, token_pieces
from tutelage.data.prepared_rows import PreparedRows
from tutelage.model.forward import MAX_NODES
from tutelage.recipe import TrainingSettings
from tutelage.report.passages import SHOWN_AT_MOST
from tutelage.training.loop import plan_steps

TOKENS_SHOWN = 1500
ROWS_DRAWN = 32


@dataclass(frozen=True)
class TreeNode:
    """A run of tokens that stands once: its text in parts, each supervised or not, how many tokens, which rows end."""

    parts: list[tuple[str, bool]]
    tokens: int
    rows: tuple[int, ...]
    below: list["TreeNode"]


def shown_examples(train: PreparedRows, decode: Decode | None) -> list[dict[str, Any]]:
    """Take the shortest example, one of median length, which looks most like the rest, and the longest."""
    by_length = np.lexsort((train.row_numbers, train.tokens))
    last = len(by_length) - 1
    names = {len(by_length) // 2: "of median length", 0: "shortest", last: "longest"}
    return [_shown(names[place], train[int(by_length[place])], decode) for place in sorted(names)]


def pieces(row: PreparedRow, decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    example = row.example
    if decode is None:
        prompt = Piece(row.prompt[:SHOWN_AT_MOST], False, len(example.ids) - example.supervised)
        return [prompt, Piece(row.response[:SHOWN_AT_MOST], True, example.supervised)]
    return list(token_pieces(example.ids[:TOKENS_SHOWN], example.spans, decode))


def first_tree(train: Sequence[PreparedRow], settings: TrainingSettings, decode: Decode) -> dict[str, Any]:
    """Return the prefix tree of the first micro-batch that training computes."""
    first_step = plan_steps(len(train), settings).examples_of_step(0)
    cut = micro_batches(
        [train[index].example for index in first_step],
        size=settings.per_device_train_batch_size,
        distinct_tokens=MAX_NODES,
    )
    drawn: list[Example] = cut[0][:ROWS_DRAWN]
    branches = branches_of(drawn)
    return {
        "rows": len(drawn),
        "more_rows": len(cut[0]) - len(drawn),
        "apart": sum(len(example.ids) - 1 for example in drawn),
        "nodes": sum(branch.tokens for branch in branches),
        "branches": [_node(branch, decode) for branch in branches],
    }


def _shown(why: str, row: PreparedRow, decode: Decode | None) -> dict[str, Any]:
    tokens = len(row.example.ids)
    return {
        "why": why,
        "row": row.example.row,
        "tokens": tokens,
        "supervised": row.example.supervised,
        "pieces": pieces(row, decode),
        "omitted": max(0, tokens - TOKENS_SHOWN) if decode else 0,
    }


def _node(branch: Branch, decode: Decode) -> TreeNode:
    parts = [(shortened(text), is_supervised) for text, is_supervised in branch.parts(decode)]
    return TreeNode(parts, len(branch.ids), branch.rows, [_node(inner, decode) for inner in branch.branches])
