"""`tutelage preview`: show rows as the model sees them."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import DataOptions
from tutelage.cli.sessions import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.preview import show_answer, show_outcome, show_text, show_tree
from tutelage.config.recipe_file import LoadedRecipe


def preview(
    options: DataOptions = DataOptions(),  # noqa: B008 - frozen
    *,
    row: Annotated[
        tuple[int, ...],
        Parameter(help="Row number, from 0. Repeatable. Default: the first valid row.", negative=""),
    ] = (),
    ids: Annotated[bool, Parameter(help="Also print token ids.", negative="", show_default=False)] = False,
    tree: Annotated[
        int, Parameter(help="Draw the prefix tree of this many rows, starting at --row; 0 draws none.")
    ] = 4,
) -> None:
    """Show the exact text and tokens that the model will see."""
    from tutelage.stages.preview import check_rows, draw_tree, render_answers, render_text, row_of

    with opened_inputs(LoadedRecipe(options.load(), {})) as (inputs, _):
        checked = check_rows(inputs)
    for number in row or (checked.kept[0].row.row,):
        one = row_of(checked, number)
        show_outcome(one)
        if one.outcome == "dropped":
            continue
        if checked.predicts_label(one):
            show_text(render_text(checked, one), with_ids=ids)
        else:
            answers = list(render_answers(checked, one))
            for name, answer in answers:
                if len(answers) > 1:
                    console.heading(name)
                show_answer(answer, with_ids=ids)
        if tree:
            following = [other for other in checked.kept if other.row.row >= number][:tree]
            show_tree(draw_tree(checked, following))
