"""Shows what the model is trained on: rows in tokens, those that it learns from marked, and the tree of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.data.batches import micro_batches
from tutelage.data.drawing import Branch, branches_of, shortened
from tutelage.data.examples import Example, PreparedRow, supervised_spans
from tutelage.data.pieces import Decode, Piece, token_pieces
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


def shown_examples(train: Sequence[Mapping[str, Any]], decode: Decode | None) -> list[dict[str, Any]]:
    """Take the shortest example, one of median length, which looks most like the rest, and the longest."""
    ordered = sorted(train, key=lambda example: (example["tokens"], example["row"]))
    last = len(ordered) - 1
    names = {len(ordered) // 2: "of median length", 0: "shortest", last: "longest"} if train else {}
    return [_shown(names[place], ordered[place], decode) for place in sorted(names)]


def pieces(example: Mapping[str, Any], decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    if decode is None:
        prompt = Piece(example["prompt"][:SHOWN_AT_MOST], False, example["tokens"] - example["supervised"])
        return [prompt, Piece(example["response"][:SHOWN_AT_MOST], True, example["supervised"])]
    spans = supervised_spans(example["tokens"], example["supervised"], example.get("earlier_spans", ()))
    return list(token_pieces(example["ids"][:TOKENS_SHOWN], spans, decode))


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


def _shown(why: str, example: Mapping[str, Any], decode: Decode | None) -> dict[str, Any]:
    return {
        "why": why,
        "row": example["row"],
        "tokens": example["tokens"],
        "supervised": example["supervised"],
        "pieces": pieces(example, decode),
        "omitted": max(0, example["tokens"] - TOKENS_SHOWN) if decode else 0,
    }


def _node(branch: Branch, decode: Decode) -> TreeNode:
    parts = [(shortened(text), is_supervised) for text, is_supervised in branch.parts(decode)]
    return TreeNode(parts, len(branch.ids), branch.rows, [_node(inner, decode) for inner in branch.branches])
