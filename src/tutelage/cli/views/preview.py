"""Print rows as the model sees them, and their prefix tree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.cli.views import console
from tutelage.stages.preview import DrawnTree, RenderedAnswer, RenderedText, TreeNode

if TYPE_CHECKING:
    from tutelage.data.quality.checks import CheckedRow
    from tutelage.tree.pieces import Piece


def show_outcome(one: "CheckedRow") -> None:
    """Print the outcome of checking a row, with reasons."""
    reasons = f": {'; '.join(reason.text for reason in one.reasons)}" if one.reasons else ""
    console.heading(f"Row {one.row.row}, {one.row.format}, {one.outcome}{reasons}")


def show_answer(one: RenderedAnswer, *, with_ids: bool) -> None:
    """Print a prompt with its answer, and the prompt as used in serving."""
    console.print_message(
        f"{len(one.ids):,} tokens, {one.supervised_tokens:,} supervised in {_counted(one.supervised_runs, 'run')};"
        f" {console.KEY}."
    )
    console.print_message()
    _show_pieces(one.pieces, one.ids, with_ids=with_ids, mark="supervised")
    console.print_message()
    console.heading("As sent when serving")
    console.print_message(one.prompt)
    console.print_message(
        f"({_counted(one.prompt_tokens, 'token')},"
        f" {'the same ids as in training' if one.is_prompt_equal else 'NOT the ids of training'})"
    )
    console.print_message()


def show_text(one: RenderedText, *, with_ids: bool) -> None:
    """Print a text to classify, and the token that the head reads."""
    from tutelage.data.quality.label_names import quoted

    console.print_message(
        f"The label is {quoted(one.label)}. The text has {_counted(len(one.ids), 'token')}, without a"
        f" prompt, and the head reads the {one.token} one: {one.read!r}, id {one.ids[one.place]}."
    )
    if one.token == "first":
        console.print_message("It cannot attend to the tokens after it, so they are left out.")
    console.print_message()
    _show_pieces(one.pieces, one.ids, with_ids=with_ids, mark="read by the head")
    console.print_message()


def show_tree(tree: DrawnTree) -> None:
    """Print a prefix tree; each run of tokens appears once."""
    console.heading(f"Prefix tree of {_counted(tree.rows, 'row')}")
    console.print_message(
        f"{tree.tokens_apart:,} tokens in separate rows, {tree.tokens:,} in the tree. Each run of tokens"
        " appears once, with its length."
    )
    console.tree([_node(node) for node in tree.nodes])
    console.print_message()


def _show_pieces(pieces: "Sequence[Piece]", ids: Sequence[int], *, with_ids: bool, mark: str) -> None:
    if with_ids:
        _show_ids(pieces, ids, mark=mark)
    else:
        console.marked([(piece.text, piece.is_supervised) for piece in pieces])


def _show_ids(pieces: "Sequence[Piece]", ids: Sequence[int], *, mark: str) -> None:
    place, rows = 0, []
    for piece in pieces:
        own = ids[place : place + piece.tokens]
        rows.append(
            [
                str(place),
                " ".join(map(str, own)),
                repr(piece.text)[1:-1],
                mark if piece.is_supervised else "",
            ]
        )
        place += piece.tokens
    console.table(["place", "id", "text", ""], rows, numeric=(0, 1))


def _node(node: TreeNode) -> console.Node:
    ends = f" → {', '.join(node.ends)}" if node.ends else ""
    label = (f"  {_counted(node.tokens, 'token')}{ends}", None)
    return [*node.parts, label], [_node(inner) for inner in node.nodes]


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
