"""What the end of a stage shows: commands that go on with the run, which can be pasted as they stand."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from tutelage.cli import console
from tutelage.cli.opening import locate
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder

if TYPE_CHECKING:
    from tutelage.data.dataset.own_question import Question
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.evaluation.next_steps import NextStep


def show_next_steps(
    run: RunFolder, loaded: LoadedRecipe, *, exported: Collection[str] = (), begins_anew: bool = False
) -> None:
    """Print what can be done with a run next; with `begins_anew` also how to tune on other rows than the starter's."""
    from tutelage.data.sources.sources import STARTER
    from tutelage.evaluation.next_steps import NextStep, path_argument

    if not run.training.exists():
        console.say()
        console.verbatim(f"Next: tutelage train {path_argument(run.root)}")
        return
    steps = steps_of(run, loaded, exported=exported)
    if begins_anew and loaded.recipe.data.source == STARTER:
        mine = path_argument(run.root.parent / "mine")
        steps.append(NextStep("Tune on your own rows", f"tutelage run --data my.json --output {mine}"))
    _show(steps)


def steps_of(run: RunFolder, loaded: LoadedRecipe, *, exported: Collection[str] = ()) -> "list[NextStep]":
    """Return the commands that go on with a trained run, which ask a row of its own."""
    from tutelage.evaluation.next_steps import next_steps

    return next_steps(
        run.root,
        own_question(run, loaded),
        is_classification=loaded.recipe.training.objective == "classification",
        is_evaluated=run.metrics.exists() or not read_artifact(Preparation, run.preparation).rows.test,
        exported=exported,
    )


def own_question(run: RunFolder, loaded: LoadedRecipe) -> "Question | None":
    """Return a question of the run's own rows, of the test rows where one of them can be asked."""
    from tutelage.data.dataset.own_question import choose_question, choose_text
    from tutelage.data.prompts.prompts import make_renderer
    from tutelage.model.loading import load_tokenizer

    splits = _splits_that_are_there(run)
    if loaded.recipe.training.objective == "classification":
        return next(filter(None, map(choose_text, splits)), None)
    renderer = make_renderer(load_tokenizer(locate(loaded).folder), loaded.recipe.data.prompt)
    return next(filter(None, (choose_question(rows, renderer) for rows in splits)), None)


def _splits_that_are_there(run: RunFolder) -> "Iterator[PreparedRows]":
    from tutelage.data.dataset.preparation import read_prepared

    for split in ("test", "validation", "train"):
        try:
            rows = read_prepared(run, split)
        except RunFolderError:  # of rows that are gone the stages and the report speak
            continue
        yield rows


def _show(steps: "list[NextStep]") -> None:
    console.say()
    console.heading("What to type next")
    for step in steps:
        console.say(f"{step.about}:")
        console.verbatim(f"  {step.command}")
