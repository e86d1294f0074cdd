"""The model and the data of a recipe, opened with something to look at while it takes."""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tutelage.cli import console
from tutelage.codes import Message
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EncodingError, ModelError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.system.runtime import refuse_without_room_for_libraries

TOKENS_NAMED = 3
ROWS_WITHOUT_A_BAR = 5_000  # so many are rendered in about two seconds
# What a stage imports first, and takes seconds for.
FOR_TOKENS = ("transformers.tokenization_utils_tokenizers",)
FOR_TRAINING = (*FOR_TOKENS, "tutelage.training.tuning", "tutelage.generation.generate")


def locate(loaded: LoadedRecipe, *, beside: Sequence[str] = FOR_TOKENS) -> Any:
    """Return the ModelSource of a recipe, fetched, converted and hashed where that is needed; once a command.

    The modules in `beside` are imported meanwhile, which takes longer than hashing half a gigabyte.
    """
    if "model" not in loaded.found:
        refuse_without_room_for_libraries()
        with ThreadPoolExecutor(1) as importing:
            importing.submit(import_quickly, beside)
            loaded.found["model"] = _locate(loaded)
    return loaded.found["model"]


def _locate(loaded: LoadedRecipe) -> Any:
    from tutelage.model.sources import locate_model
    from tutelage.system.fetching import user_cache

    with _telling() as tell:
        return locate_model(
            loaded.recipe.model.name_or_path,
            cache=user_cache(),
            progress=tell,
            unchecked=loaded.unchecked,
            hashes=loaded.found.setdefault("hashes", {}),
        )


def import_quickly(names: Sequence[str]) -> None:
    """Import modules without a search for cycles among what they hold, which stays; it takes a seventh of the time."""
    if all(name in sys.modules for name in names):
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for name in names:
            import_module(name)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Give what shows a line as a wait, until the next line or the end; standard output may be another program's."""
    with ExitStack() as shown:

        def tell(line: str) -> None:
            shown.close()
            shown.enter_context(console.waiting(line.removesuffix("."), aside=True))

        yield tell


def open_data(recipe: Recipe) -> Any:
    """Return the OpenSource of a recipe."""
    from tutelage.data.sources.sources import open_source
    from tutelage.system.fetching import user_cache

    return open_source(recipe.data.source, cache=user_cache(), settings=recipe.data)


def read_data(recipe: Recipe, *, keeps_large_rows: bool = False) -> Any:
    """Return the Source of a recipe, in which rows above data.max_row_bytes have a value only if it keeps them."""
    from tutelage.data.rows.records import NO_LIMIT
    from tutelage.data.sources.sources import read_source
    from tutelage.system.fetching import user_cache

    settings = recipe.data.model_copy(update={"max_row_bytes": NO_LIMIT}) if keeps_large_rows else recipe.data
    try:
        return read_source(recipe.data.source, cache=user_cache(), settings=settings)
    except EncodingError:
        refuse_faulty_rows(open_data(recipe), recipe)  # which may have more to say
        raise


def open_renderer(loaded: LoadedRecipe) -> tuple[Any, int]:
    """Return the PromptRenderer of a recipe and the model's context length."""
    from tutelage.data.prompts.prompts import make_renderer
    from tutelage.model.loading import context_length, load_tokenizer

    source = locate(loaded)
    tokenizer = load_tokenizer(source.folder)
    tell_of_larger_tokenizer(tokenizer, source.folder)
    renderer = make_renderer(tokenizer, loaded.recipe.data.prompt)
    return renderer, context_length(source.folder)


def tell_of_larger_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Warn of tokens that the model's embedding has no row for; text that holds one cannot be trained on."""
    from tutelage.model.loading import vocabulary_size

    rows = vocabulary_size(folder)
    known = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
    beyond = sorted((number, token) for token, number in known.items() if number >= rows)
    if beyond:
        named = ", ".join(f"{token!r} (id {number})" for number, token in beyond[:TOKENS_NAMED])
        more = f" and {len(beyond) - TOKENS_NAMED:,} more" if beyond[TOKENS_NAMED:] else ""
        told = (
            f"the tokenizer in {folder} has {named}{more}, and the model's embedding ends at id {rows - 1}. Rows that"
            " hold such a token are refused; fetch the tokenizer that belongs to the model."
        )
        console.warn_aside(Message("model.tokenizer_larger_than_embedding", told))


def warn_of_emulated_bfloat16(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Warn that a model trained in bfloat16 is opened in float32 here, so that its answers may differ in a token."""
    from tutelage.evaluation.evaluate import trained_dtype
    from tutelage.system.runtime import choose_device, choose_dtype_to_open, name_dtype

    device, trained = choose_device(loaded.recipe.training.device), trained_dtype(run, loaded.recipe)
    opened = name_dtype(choose_dtype_to_open(trained, device))
    if opened != trained:
        told = (
            f"{run.root} was trained in {trained}, which this processor only emulates, many times slower. The model is"
            f" opened in {opened}; its answers may differ in single tokens from those of the machine that trained it."
        )
        console.warn_aside(Message("device.bfloat16_emulated", told))


def has_model(loaded: LoadedRecipe) -> bool:
    """Tell whether the model can be opened without a network or a conversion; ModelError where there is none."""
    from tutelage.model.sources import is_local
    from tutelage.system.fetching import user_cache

    with _telling() as tell:
        return is_local(
            loaded.recipe.model.name_or_path,
            cache=user_cache(),
            progress=tell,
            unchecked=loaded.unchecked,
            hashes=loaded.found.setdefault("hashes", {}),
        )


def prepare_what_is_here(loaded: LoadedRecipe) -> Any:
    """Return the PreparedData of a recipe, or None where the data or the model would have to be fetched first."""
    from tutelage.data.sources.sources import is_here
    from tutelage.system.fetching import user_cache

    recipe = loaded.recipe
    has_its_model = check_targets_of_what_is_here(loaded)  # refuses a name that means nothing
    if not is_here(recipe.data, cache=user_cache()):
        return None
    if has_its_model:
        return prepare_aside(loaded)
    refuse_faulty_rows(open_data(recipe), recipe)
    return None


def check_targets(loaded: LoadedRecipe, *, beside: Sequence[str] = FOR_TOKENS) -> None:
    """Stop where adapter.target_modules does not fit the model of a recipe; `beside` is as `locate` has it."""
    from tutelage.model.target_modules import check_targets_of_folder

    check_targets_of_folder(locate(loaded, beside=beside).folder, loaded.recipe.adapter)


def check_targets_of_what_is_here(loaded: LoadedRecipe, *, beside: Sequence[str] = FOR_TOKENS) -> bool:
    """Do what `check_targets` does where no network and no conversion is needed for it; tell what `has_model` does."""
    from tutelage.model.sources import hub_model_here
    from tutelage.model.target_modules import check_targets_of_folder

    if has_model(loaded):
        check_targets(loaded, beside=beside)
        return True
    folder = hub_model_here(loaded.recipe.model.name_or_path)
    if folder is not None:
        with suppress(ModelError):  # what was fetched in part is fetched whole before it is needed
            check_targets_of_folder(folder, loaded.recipe.adapter)
    return False


def refuse_faulty_rows(data: Any, recipe: Recipe) -> None:
    """Read all rows of an OpenSource, and stop where they are at fault, which needs no model to be seen."""
    from tutelage.data.formats.formats import ConversationReader

    for _ in ConversationReader(data.name, recipe.data, objective=recipe.training.objective).read(
        data.records()
    ):
        pass


def prepare_aside(loaded: LoadedRecipe) -> Any:
    """Return the PreparedData of a recipe that goes into no run.

    Its files are gone by then, and what is mapped of them is there for as long as it is in use.
    """
    with TemporaryDirectory() as folder:
        return prepare_into(Path(folder), loaded)


def parts_that_changed(run: RunFolder, loaded: LoadedRecipe) -> list[str]:
    """Return the names of what the prepared rows of a run would be made of otherwise now."""
    from tutelage.data.dataset.identity import changed_parts, made_of
    from tutelage.data.dataset.model_files import changed_model_files

    recipe = loaded.recipe
    before = read_artifact(Preparation, run.preparation).made_of
    source = open_data(recipe)
    if before.get("data") != source.sha256:
        return ["data"]  # which needs no model to be seen
    renderer, context = open_renderer(loaded)
    now = made_of(
        source.sha256,
        recipe.data,
        renderer,
        context_length=context,
        weights=locate(loaded).identity,
        objective=recipe.training.objective,
    )
    changed = changed_parts(before, now)
    of_model = changed_model_files(run, locate(loaded).files)
    return [*changed, "model"] if of_model and "model" not in changed else changed


def prepare_into(folder: Path, loaded: LoadedRecipe) -> Any:
    """Write the data folder of a recipe, and return its PreparedData."""
    from tutelage.data.dataset.preparation import prepare, refuse_unknown_ids
    from tutelage.data.prompts.prompts import make_renderer
    from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size

    recipe = loaded.recipe
    data = open_data(recipe)
    if not has_model(loaded):
        refuse_faulty_rows(data, recipe)  # before a model is fetched for nothing
    source = locate(loaded)
    check_targets(loaded)
    tokenizer = load_tokenizer(source.folder)
    tell_of_larger_tokenizer(tokenizer, source.folder)
    renderer = make_renderer(tokenizer, recipe.data.prompt)
    if not source.is_checked:
        console.note(
            "model.checksums_skipped",
            "the base model's files were not hashed, so later commands have nothing but its weights to compare with.",
        )
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

        preparation = prepare(
            data,
            recipe.data,
            renderer,
            folder=folder,
            context_length=context_length(source.folder),
            model=recipe.model,
            weights=source.identity,
            model_files=source.files,
            is_checked=source.is_checked,
            objective=recipe.training.objective,
            progress=progress,
        )
    for rows in preparation.splits.values():
        refuse_unknown_ids(
            rows,
            vocabulary=vocabulary_size(source.folder),
            text_of=lambda number: str(tokenizer.convert_ids_to_tokens(number)),
        )
    return preparation
