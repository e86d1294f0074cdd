"""Shows what the model is trained on: rows in tokens, those that it learns from marked, and the tree of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.config.recipe import TrainingSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.quality.label_names import quoted
from tutelage.model.forward import MAX_NODES
from tutelage.report.passages import NO_LABEL, SHOWN_AT_MOST
from tutelage.training.loop import plan_steps
from tutelage.tree.batches import micro_batches
from tutelage.tree.drawing import Branch, branches_of, names_of, shortened
from tutelage.tree.examples import PreparedRow, Unit, examples_of
from tutelage.tree.pieces import Decode, Piece, token_pieces

TOKENS_SHOWN = 1500
EXAMPLES_DRAWN = 32


@dataclass(frozen=True)
class TreeNode:
    """A run of tokens that stands once: its text in parts, each supervised or not, how many tokens, what ends here."""

    parts: list[tuple[str, bool]]
    tokens: int
    ends: tuple[str, ...]
    below: list["TreeNode"]


def shown_examples(train: PreparedRows, decode: Decode | None) -> list[dict[str, Any]]:
    """Take the shortest example, one of median length, which looks most like the rest, and the longest.

    Of rows with several answers all are shown.
    """
    by_length = np.lexsort((train.row_numbers, train.lengths))
    last = len(by_length) - 1
    names = {len(by_length) // 2: "of median length", 0: "shortest", last: "longest"}
    return [
        _shown(
            f"{names[place]}, the {answer} answer" if answer else names[place],
            rows[int(by_length[place])],
            decode,
        )
        for place in sorted(names)
        for answer, rows in train.answers.items()
    ]


def pieces(row: PreparedRow, decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    example, predicts_label = row.example, row.example.predicts_label
    if decode is None:
        prompt = Piece(row.prompt[:SHOWN_AT_MOST], False, example.tokens - example.supervised)
        return [
            prompt,
            _label(row) if predicts_label else Piece(row.response[:SHOWN_AT_MOST], True, example.supervised),
        ]
    if predicts_label:
        return [*token_pieces(example.ids[:TOKENS_SHOWN], (), decode), _label(row)]
    return list(token_pieces(example.ids[:TOKENS_SHOWN], example.spans, decode))


def _label(row: PreparedRow) -> Piece:
    return Piece(f" → {quoted(row.response) if row.response else NO_LABEL}", True, 1)


def first_tree(
    units: Sequence[Unit],
    settings: TrainingSettings,
    decode: Decode,
    *,
    rows: Sequence[PreparedRow] = (),
    answers: Sequence[str] = ("",),
    max_nodes: int = MAX_NODES,
) -> dict[str, Any]:
    """Return the prefix tree of the first micro-batch that training computes; every unit holds all `answers`.

    `max_nodes` bounds the trees of that training. Where the `rows` of the same places have labels, these stand at the
    ends.
    """
    first_step = plan_steps(len(units), settings).examples_of_step(0)
    cut = micro_batches(
        [units[index] for index in first_step],
        size=settings.per_device_train_batch_size,
        distinct_tokens=max_nodes,
    )
    drawn = cut[0][: EXAMPLES_DRAWN // len(cut[0][0].examples)]
    examples = examples_of(drawn)
    names = names_of(examples, answers)
    if examples[0].predicts_label:
        labels = {rows[index].example.row: _label(rows[index]).text for index in first_step}
        names = [f"{name}{labels[unit.row]}" for name, unit in zip(names, drawn, strict=True)]
    branches = branches_of(examples, names)
    return {
        "rows": len(drawn),
        "more_rows": len(cut[0]) - len(drawn),
        "apart": sum(len(example.read_ids) for example in examples),
        "nodes": sum(branch.tokens for branch in branches),
        "branches": [_node(branch, decode) for branch in branches],
    }


def _shown(why: str, row: PreparedRow, decode: Decode | None) -> dict[str, Any]:
    example = row.example
    tokens = len(example.ids)
    return {
        "why": why,
        "row": example.row,
        "tokens": tokens,
        "supervised": 0 if example.predicts_label else example.supervised,
        "pieces": pieces(row, decode),
        "omitted": max(0, tokens - TOKENS_SHOWN) if decode else 0,
    }


def _node(branch: Branch, decode: Decode) -> TreeNode:
    parts = [(shortened(text), is_supervised) for text, is_supervised in branch.parts(decode)]
    return TreeNode(parts, len(branch.ids), branch.ends, [_node(inner, decode) for inner in branch.branches])
