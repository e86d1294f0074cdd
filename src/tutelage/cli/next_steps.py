"""What the end of a stage shows: commands that go on with the run, which can be pasted as they stand."""

from typing import TYPE_CHECKING

from tutelage.cli.opening import locate
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder

if TYPE_CHECKING:
    from tutelage.data.own_question import Question


def own_question(run: RunFolder, loaded: LoadedRecipe) -> "Question | None":
    """Return a question of the run's own rows, of the test rows where one of them can be asked."""
    from tutelage.data.own_question import choose_question, choose_text
    from tutelage.data.preparation import read_prepared
    from tutelage.data.prompts import make_renderer
    from tutelage.model.loading import load_tokenizer

    splits = (read_prepared(run, split) for split in ("test", "validation", "train"))
    if loaded.recipe.training.objective == "classification":
        return next(filter(None, map(choose_text, splits)), None)
    renderer = make_renderer(load_tokenizer(locate(loaded).folder), loaded.recipe.data.prompt)
    return next(filter(None, (choose_question(rows, renderer) for rows in splits)), None)
