"""Rows as the model is trained on them and asked them; nothing is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tutelage.config.recipe import Recipe
from tutelage.errors import DataError
from tutelage.objectives import load_objective
from tutelage.stages.inputs import Inputs

if TYPE_CHECKING:
    from tutelage.data.dataset.row_encoder import EncodedRows, RowEncoder
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.data.quality.checks import CheckedRow
    from tutelage.data.rows.conversations import Conversation
    from tutelage.tree.drawing import Branch
    from tutelage.tree.examples import Example
    from tutelage.tree.pieces import Piece


@dataclass(frozen=True)
class CheckedRows:
    """All rows of some data as the checks leave them, and what renders them."""

    source: str
    rows: "Sequence[CheckedRow]"
    recipe: Recipe
    renderer: "PromptRenderer"

    @property
    def kept(self) -> "list[CheckedRow]":
        return [one for one in self.rows if one.outcome != "dropped"]

    def predicts_label(self, row: "CheckedRow") -> bool:
        """Tell whether a label is what the model learns of a row, and no answer."""
        [(_, answers)] = self.encode([row])
        return answers[0].example.predicts_label

    def encode(self, rows: "Sequence[CheckedRow]") -> "list[EncodedRows]":
        """Return rows as the objective of the recipe encodes them."""
        from tutelage.data.dataset.row_encoder import Labels

        given = [one.row for one in rows]
        return list(self.encoder.encode(self.renderer, given, self.recipe.data, Labels()))

    @property
    def encoder(self) -> "RowEncoder":
        return load_objective(self.recipe.objective.name).rows


@dataclass(frozen=True)
class RenderedAnswer:
    """One answer behind its prompt; `is_prompt_equal` says that serving sends the ids of the training."""

    ids: Sequence[int]
    pieces: "Sequence[Piece]"
    supervised_tokens: int
    supervised_runs: int
    prompt: str
    prompt_tokens: int
    is_prompt_equal: bool


@dataclass(frozen=True)
class RenderedText:
    """One text of a classification; its head reads the `place`th token, which is the first or the last."""

    ids: Sequence[int]
    pieces: "Sequence[Piece]"
    label: str
    token: str
    place: int
    read: str


@dataclass(frozen=True)
class TreeNode:
    """A run of tokens that some rows share: its texts, each supervised or not, and the rows that end here."""

    parts: Sequence[tuple[str, bool]]
    tokens: int
    ends: Sequence[str]
    nodes: "Sequence[TreeNode]"


@dataclass(frozen=True)
class DrawnTree:
    """The prefix tree of some rows; `tokens_apart` are those of the same rows one by one."""

    rows: int
    tokens_apart: int
    tokens: int
    nodes: Sequence[TreeNode]


def check_rows(inputs: Inputs) -> CheckedRows:
    """Read and check the rows of a recipe's data, and open the tokenizer; DataError where every row is dropped."""
    from tutelage.data.dataset.preparation import sizes_of
    from tutelage.data.formats.formats import read_conversations
    from tutelage.data.quality.checks import check_rows

    source = inputs.read_data()
    renderer, recipe = inputs.renderer, inputs.recipe
    read = read_conversations(
        source.records,
        source=source.name,
        settings=recipe.data,
        needs_labels=inputs.objective.rows.needs_labels,
        objective=recipe.objective,
    )
    rows = check_rows(read.rows, recipe.data, sizes_of(source), row_format=recipe.objective.row_format)
    if all(one.outcome == "dropped" for one in rows):
        raise DataError(
            "data.no_usable_rows",
            f"{source.name}: every row was dropped. `tutelage check` shows why.",
        )
    inputs.warn_of_larger_tokenizer()
    return CheckedRows(source.name, rows, recipe, renderer)


def row_of(checked: CheckedRows, number: int) -> "CheckedRow":
    """Return a row by its number, from 0; DataError where there is none."""
    if not 0 <= number < len(checked.rows):
        raise DataError(
            "data.no_such_row",
            f"{checked.source} has no row {number}. Choose a row from 0 to {len(checked.rows) - 1}.",
        )
    return checked.rows[number]


def render_answers(checked: CheckedRows, row: "CheckedRow") -> Iterator[tuple[str, RenderedAnswer]]:
    """Give what is trained of a row, with its name: the answer, or each of several as the objective calls them."""
    [(conversation, answers)] = checked.encode([row])
    for name, answer in zip(checked.encoder.answers, answers, strict=True):
        yield (
            f"{name} answer".strip().capitalize(),
            _render_answer(conversation, answer.example, checked.renderer),
        )


def render_text(checked: CheckedRows, row: "CheckedRow") -> RenderedText:
    """Return the text of a classification as its head reads it."""
    from tutelage.data.prompts.encoding import text_ids
    from tutelage.tree.pieces import token_pieces, whole_characters

    tokenizer, token = checked.renderer.tokenizer, checked.recipe.data.pooling
    ids = text_ids(tokenizer, row.row.messages[0].text, token="last")
    place = 0 if token == "first" else len(ids) - 1
    read_characters = whole_characters(ids, place, tokenizer.decode)
    pieces = list(token_pieces(ids, [read_characters], tokenizer.decode))
    return RenderedText(ids, pieces, row.row.response, token, place, tokenizer.decode([ids[place]]))


def draw_tree(checked: CheckedRows, rows: "Sequence[CheckedRow]") -> DrawnTree:
    """Return the prefix tree of some rows."""
    from tutelage.tree.drawing import branches_of, names_of

    examples = [answer.example for _, answers in checked.encode(rows) for answer in answers]
    branches = branches_of(examples, names_of(examples, checked.encoder.answers))
    return DrawnTree(
        rows=len(rows),
        tokens_apart=sum(len(example.read_ids) for example in examples),
        tokens=sum(branch.tokens for branch in branches),
        nodes=[_node(branch, checked.renderer.tokenizer.decode) for branch in branches],
    )


def _render_answer(
    conversation: "Conversation", example: "Example", renderer: "PromptRenderer"
) -> RenderedAnswer:
    from tutelage.tree.pieces import token_pieces

    return RenderedAnswer(
        ids=example.ids,
        pieces=list(token_pieces(example.ids, example.spans, renderer.tokenizer.decode)),
        supervised_tokens=example.supervised,
        supervised_runs=len(example.spans),
        prompt=renderer.prompt_text(conversation),
        prompt_tokens=example.prompt_tokens,
        is_prompt_equal=tuple(renderer.prompt_ids(conversation)) == example.prompt_ids,
    )


def _node(branch: "Branch", decode: Callable[[list[int]], str]) -> TreeNode:
    from tutelage.tree.drawing import shortened

    parts = [(shortened(text), is_supervised) for text, is_supervised in branch.parts(decode)]
    return TreeNode(parts, len(branch.ids), branch.ends, [_node(inner, decode) for inner in branch.branches])
