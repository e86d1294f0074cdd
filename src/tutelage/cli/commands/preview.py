"""`tutelage preview`: rows as the model sees them."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.opening import opened_inputs
from tutelage.cli.options import DataOptions
from tutelage.cli.views import console
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import DataError


def preview(
    options: DataOptions = DataOptions(),  # noqa: B008 - frozen
    *,
    row: Annotated[
        tuple[int, ...],
        Parameter(help="Which row, from 0; may be repeated. Default: the first that is kept.", negative=""),
    ] = (),
    ids: Annotated[
        bool, Parameter(help="Show the id of every token too.", negative="", show_default=False)
    ] = False,
    tree: Annotated[
        int, Parameter(help="Draw the prefix tree of so many rows from this one on; 0 draws none.")
    ] = 4,
) -> None:
    """Show exactly what the model is trained on and what it will be asked; nothing is written."""
    from tutelage.data.dataset.preparation import sizes_of
    from tutelage.data.dataset.row_encoder import Labels
    from tutelage.data.formats.formats import read_conversations
    from tutelage.data.quality.checks import check_rows
    from tutelage.objectives import load_objective

    recipe = options.load()
    with opened_inputs(LoadedRecipe(recipe, {})) as (inputs, _):
        source = inputs.read_data()
    read = read_conversations(
        source.records, source=source.name, settings=recipe.data, objective=recipe.objective
    )
    pairs, encoder = recipe.objective.has_pairs, load_objective(recipe.objective.name).rows
    checked = check_rows(read.rows, recipe.data, sizes_of(source), pairs=pairs)
    kept = [one.row for one in checked if one.outcome != "dropped"]
    if not kept:
        raise DataError(
            "data.no_usable_rows",
            f"{source.name}: every row is dropped. `tutelage check` says why.",
        )
    with opened_inputs(LoadedRecipe(recipe, {})) as (inputs, _):
        inputs.warn_of_larger_tokenizer()
        renderer = inputs.renderer
    for number in row or (kept[0].row,):
        if not 0 <= number < len(checked):
            raise DataError(
                "data.no_such_row",
                f"{source.name} has no row {number}; its rows are 0 to {len(checked) - 1}.",
            )
        _show_outcome(checked[number])
        if checked[number].outcome == "dropped":
            continue
        following = [one for one in kept if one.row >= number][:tree]
        if not recipe.objective.writes_answers:
            _show_class(checked[number].row, renderer.tokenizer, recipe.data.class_token, with_ids=ids)
        else:
            [(conversation, answers)] = encoder.encode(renderer, [checked[number].row], recipe.data, Labels())
            for name, answer in zip(("Chosen", "Rejected"), answers, strict=False):
                if pairs:
                    console.heading(f"{name} answer")
                _show_row(conversation, answer.example, renderer, with_ids=ids)
        encoded = encoder.encode(renderer, following, recipe.data, Labels())
        examples = [row.example for _, rows in encoded for row in rows]
        if tree:
            _show_tree(_units(examples, pairs=pairs), renderer.tokenizer)


def _units(examples: Sequence[Any], *, pairs: bool) -> Sequence[Any]:
    """Return what training counts as one each: the examples, or pairs of them, which stand side by side."""
    from tutelage.tree.examples import Pair

    return list(map(Pair, examples[::2], examples[1::2])) if pairs else examples


def _show_outcome(one: Any) -> None:
    reasons = f": {'; '.join(reason.text for reason in one.reasons)}" if one.reasons else ""
    console.heading(f"Row {one.row.row}, {one.row.format}, {one.outcome}{reasons}")


def _show_row(conversation: Any, example: Any, renderer: Any, *, with_ids: bool) -> None:
    from tutelage.tree.pieces import token_pieces

    decode = renderer.tokenizer.decode
    console.say(
        f"{len(example.ids):,} tokens, {example.supervised:,} supervised in {_counted(len(example.spans), 'run')};"
        f" {console.KEY}."
    )
    console.say()
    pieces = list(token_pieces(example.ids, example.spans, decode))
    _show_pieces(pieces, example.ids, with_ids=with_ids, mark="supervised")
    console.say()
    console.heading("What serving will send")
    console.say(renderer.prompt_text(conversation))
    is_equal = tuple(renderer.prompt_ids(conversation)) == example.prompt_ids
    console.say(
        f"({_counted(example.prompt_tokens, 'token')},"
        f" {'the same ids as in training' if is_equal else 'NOT the ids of the training'})"
    )
    console.say()


def _show_class(conversation: Any, tokenizer: Any, token: str, *, with_ids: bool) -> None:
    from tutelage.data.quality.label_names import quoted
    from tutelage.objectives.classification.rows import text_ids
    from tutelage.tree.pieces import token_pieces, whole_characters

    ids = text_ids(tokenizer, conversation.turns[0].text, token="last")
    read = 0 if token == "first" else len(ids) - 1
    read_characters = whole_characters(ids, read, tokenizer.decode)
    pieces = list(token_pieces(ids, [read_characters], tokenizer.decode))
    console.say(
        f"The label is {quoted(conversation.response)}. The text has {_counted(len(ids), 'token')}, without a prompt"
        f" around it, and the head reads the {token} of them: {tokenizer.decode([ids[read]])!r}, id {ids[read]}."
    )
    if token == "first":
        console.say("It has seen nothing of those behind it, so that they are left out.")
    console.say()
    _show_pieces(pieces, ids, with_ids=with_ids, mark="read by the head")
    console.say()


def _show_pieces(pieces: Sequence[Any], ids: Sequence[int], *, with_ids: bool, mark: str) -> None:
    if with_ids:
        _show_ids(pieces, ids, mark=mark)
    else:
        console.marked([(piece.text, piece.is_supervised) for piece in pieces])


def _show_ids(pieces: Sequence[Any], ids: Sequence[int], *, mark: str) -> None:
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


def _show_tree(units: Sequence[Any], tokenizer: Any) -> None:
    from tutelage.tree.drawing import branches_of, names_of
    from tutelage.tree.examples import examples_of

    examples = examples_of(units)
    branches = branches_of(examples, names_of(units))
    apart = sum(len(example.read_ids) for example in examples)
    nodes = sum(branch.tokens for branch in branches)
    console.heading(f"The prefix tree of {_counted(len(units), 'row')}")
    console.say(
        f"{apart:,} tokens one by one, {nodes:,} in the tree: each run stands once, with how many tokens it has."
    )
    console.tree([_node(branch, tokenizer.decode) for branch in branches])
    console.say()


def _node(branch: Any, decode: Any) -> console.Node:
    from tutelage.tree.drawing import shortened

    ends = f" → {', '.join(branch.ends)}" if branch.ends else ""
    parts = [(shortened(text), is_supervised) for text, is_supervised in branch.parts(decode)]
    return (
        [*parts, (f"  {_counted(len(branch.ids), 'token')}{ends}", None)],
        [_node(inner, decode) for inner in branch.branches],
    )


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
