"""The model and the data of a recipe, opened with something to look at while it takes."""

from contextlib import ExitStack, nullcontext
from functools import cache
from typing import Any

from tutelage.cli import console
from tutelage.recipe import Recipe

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


def read_data(recipe: Recipe) -> Any:
    """Return the Source of a recipe."""
    from tutelage.data.sources import read_source
    from tutelage.fetching import user_cache

    return read_source(recipe.data.source, cache=user_cache(), settings=recipe.data)


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
    if not is_here(recipe.data, cache=user_cache()):
        return None
    if has_its_model:
        return prepare_in_memory(recipe)
    read_data(recipe)  # refuses a file at fault, which needs no model to be seen
    return None


def prepare_in_memory(recipe: Recipe) -> Any:
    """Return the Preparation of a recipe; nothing is written but the cache."""
    from tutelage.data.preparation import prepare
    from tutelage.data.prompts import make_renderer
    from tutelage.model.loading import context_length, load_tokenizer

    data = read_data(recipe)  # first: a fault in it should not wait for a model to be fetched
    source = locate(recipe)
    renderer = make_renderer(load_tokenizer(source.folder), recipe.data.prompt)
    rows = len(data.records)
    with console.progress("Rendering rows", rows) if rows > ROWS_WITHOUT_A_BAR else nullcontext() as advance:
        return prepare(
            data,
            recipe.data,
            renderer,
            context_length=context_length(source.folder),
            model=recipe.model,
            weights=source.identity,
            progress=(lambda done: advance(done, "")) if advance else lambda done: None,
        )
