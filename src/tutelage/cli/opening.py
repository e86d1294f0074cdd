"""The model and the data of a recipe, opened with something to look at while it takes."""

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tutelage.cli import console
from tutelage.recipe import Recipe
from tutelage.run_folder import RunFolder, read_json

ROWS_WITHOUT_A_BAR = 5_000  # so many are rendered in about two seconds


def locate(recipe: Recipe) -> Any:
    """Return the ModelSource of a recipe, fetching and converting it where that is needed."""
    from tutelage.fetching import user_cache
    from tutelage.model.sources import locate_model

    with ExitStack() as until_it_is_there:

        @cache
        def begin_to_wait() -> None:
            until_it_is_there.enter_context(console.waiting("Making the model ready"))

        def tell(line: str) -> None:
            begin_to_wait()  # only what takes its time is told of
            console.say(line)

        return locate_model(recipe.model.name_or_path, cache=user_cache(), progress=tell)


def open_data(recipe: Recipe) -> Any:
    """Return the OpenSource of a recipe."""
    from tutelage.data.sources import open_source
    from tutelage.fetching import user_cache

    return open_source(recipe.data.source, cache=user_cache(), settings=recipe.data)


def read_data(recipe: Recipe, *, keeps_large_rows: bool = False) -> Any:
    """Return the Source of a recipe, in which rows above data.max_row_bytes have a value only if it keeps them."""
    from tutelage.data.records import NO_LIMIT
    from tutelage.data.sources import read_source
    from tutelage.fetching import user_cache

    settings = recipe.data.model_copy(update={"max_row_bytes": NO_LIMIT}) if keeps_large_rows else recipe.data
    return read_source(recipe.data.source, cache=user_cache(), settings=settings)


def open_renderer(recipe: Recipe) -> tuple[Any, int]:
    """Return the PromptRenderer of a recipe and the model's context length."""
    from tutelage.data.prompts import make_renderer
    from tutelage.model.loading import context_length, load_tokenizer

    source = locate(recipe)
    return make_renderer(load_tokenizer(source.folder), recipe.data.prompt), context_length(source.folder)


def has_model(recipe: Recipe) -> bool:
    """Tell whether the model can be opened without a network or a conversion; ModelError where there is none."""
    from tutelage.fetching import user_cache
    from tutelage.model.sources import is_local

    return is_local(recipe.model.name_or_path, cache=user_cache())


def prepare_what_is_here(recipe: Recipe) -> Any:
    """Return the Preparation of a recipe, or None where the data or the model would have to be fetched first."""
    from tutelage.data.sources import is_here
    from tutelage.fetching import user_cache

    has_its_model = has_model(recipe)  # refuses a name that means nothing
    if has_its_model:
        check_targets(recipe)
    if not is_here(recipe.data, cache=user_cache()):
        return None
    if has_its_model:
        return prepare_aside(recipe)
    refuse_faulty_rows(open_data(recipe), recipe)
    return None


def check_targets(recipe: Recipe) -> None:
    """Stop where adapter.target_modules does not fit the model of a recipe."""
    from tutelage.model.target_modules import check_targets_of_folder

    check_targets_of_folder(locate(recipe).folder, recipe.adapter)


def refuse_faulty_rows(data: Any, recipe: Recipe) -> None:
    """Read all rows of an OpenSource, and stop where they are at fault, which needs no model to be seen."""
    from tutelage.data.formats import ConversationReader

    for _ in ConversationReader(data.name, recipe.data).read(data.records()):
        pass


def prepare_aside(recipe: Recipe) -> Any:
    """Return the Preparation of a recipe that goes into no run.

    Its files are gone by then, and what is mapped of them is there for as long as it is in use.
    """
    with TemporaryDirectory() as folder:
        return prepare_into(Path(folder), recipe)


def parts_that_changed(run: RunFolder, recipe: Recipe) -> list[str]:
    """Return the names of what the prepared rows of a run would be made of otherwise now."""
    from tutelage.data.identity import changed_parts, made_of

    before = read_json(run.preparation).get("made_of", {})
    source = open_data(recipe)
    if before.get("data") != source.sha256:
        return ["data"]  # which needs no model to be seen
    renderer, context = open_renderer(recipe)
    now = made_of(
        source.sha256,
        recipe.data,
        renderer,
        context_length=context,
        weights=locate(recipe).identity,
        objective=recipe.training.objective,
    )
    return changed_parts(before, now)


def prepare_into(folder: Path, recipe: Recipe) -> Any:
    """Write the data folder of a recipe, and return its Preparation."""
    from tutelage.data.preparation import prepare
    from tutelage.data.prompts import make_renderer
    from tutelage.model.loading import context_length, load_tokenizer

    data = open_data(recipe)
    if not has_model(recipe):
        refuse_faulty_rows(data, recipe)  # before a model is fetched for nothing
    source = locate(recipe)
    check_targets(recipe)
    renderer = make_renderer(load_tokenizer(source.folder), recipe.data.prompt)
    with ExitStack() as until_it_is_done:

        @cache
        def bar() -> console.Advance:
            return until_it_is_done.enter_context(console.progress("Rendering rows", None))

        waiting = 0

        def progress(rows: int) -> None:
            nonlocal waiting
            waiting += rows
            if waiting >= ROWS_WITHOUT_A_BAR:  # what is quick needs no bar
                bar()(rows, "")

        return prepare(
            data,
            recipe.data,
            renderer,
            folder=folder,
            context_length=context_length(source.folder),
            model=recipe.model,
            weights=source.identity,
            objective=recipe.training.objective,
            progress=progress,
        )
