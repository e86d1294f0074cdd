"""Data and base model of a run where they are now: known again by their SHA-256, however their place is spelled.

A run keeps the names that it recorded; where else to find what they mean is noted beside its recipe.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import RunFolderError, TutelageError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder

# How far around a run, and by how many of its last names, something is looked for that was moved together with it.
ANCESTORS, LAST_NAMES = 3, 4


def keep_recorded_names(
    loaded: LoadedRecipe, run: RunFolder, recorded: Recipe | None, *, skip_checksums: bool
) -> LoadedRecipe:
    """Name data and base model as the run recorded them, if they are the same to the byte, and note where they are.

    What is not the same, or cannot be found, stays as it is named, for the stages to refuse.
    """
    with suppress(RunFolderError):  # a stage that reads the file refuses it
        if recorded is not None and run.preparation.is_file():
            prepared = read_artifact(Preparation, run.preparation)
            loaded = _keep_data_name(loaded, run, recorded, prepared)
            return _keep_model_name(loaded, run, recorded, prepared, skip_checksums=skip_checksums)
    return loaded


def places_around(run: RunFolder, path: Path) -> Iterator[Path]:
    """Yield where a path would be if it stood to the run as it did before both were moved."""
    for ancestor in run.root.absolute().parents[:ANCESTORS]:
        for names in range(min(LAST_NAMES, len(path.parts)), 0, -1):
            if not Path(*path.parts[-names:]).is_absolute():
                yield ancestor.joinpath(*path.parts[-names:])


def model_after_move(
    name: str, run: RunFolder, prepared: Preparation, *, skip_checksums: bool = False
) -> str | None:
    """Return where a base model that is a folder or a file is now, if it was moved with a run; None if it was not.

    Who opens it compares its hash. Here that is done to choose among several places, and with `skip_checksums`, where
    nobody else does: a place that is only guessed is not taken on trust.
    """
    path = Path(name)
    if not path.is_absolute() or path.exists():
        return None
    found = [*filter(_looks_like_model, places_around(run, path))]
    if skip_checksums or len(found) > 1:
        same = next((place for place in found if _holds_base(place, prepared)), None)
        found = [same] if same else [] if skip_checksums else found
    return str(found[0]) if found else None


def _keep_data_name(
    loaded: LoadedRecipe, run: RunFolder, recorded: Recipe, prepared: Preparation
) -> LoadedRecipe:
    settings, known = loaded.recipe.data, recorded.data.source
    places = [settings.source]
    if settings.source == known:
        if _is_there(known):
            return loaded
        places = [*map(str, (run.root / Path(known).name, *places_around(run, Path(known))))]
    place = next((place for place in places if _holds_rows(place, loaded.recipe, prepared)), None)
    if place is None:
        return loaded
    data = settings.model_copy(update={"source": known})
    return replace(loaded, recipe=loaded.recipe.model_copy(update={"data": data}), data_at=place)


def _is_there(place: str) -> bool:
    with suppress(
        OSError, RuntimeError, ValueError
    ):  # a name that no file system takes, or the home of nobody
        return Path(place).expanduser().exists()
    return False


def _holds_rows(place: str, recipe: Recipe, prepared: Preparation) -> bool:
    """Tell whether a place holds the rows that a run was prepared from: the same bytes, read as the same kind.

    A source that is no path, as `starter`, stands nowhere else: what has its name, as the run itself, is not read.
    """
    if not _is_there(place):
        return False
    from tutelage.data.sources.sources import find_source, is_path
    from tutelage.system.fetching import user_cache

    if not is_path(recipe.data.source):
        return False
    with suppress(TutelageError, OSError):  # which stops the stage that opens it
        opened = find_source(place, cache=user_cache(), settings=recipe.data)
        return (opened.sha256, opened.kind) == (prepared.sha256, prepared.kind)
    return False


def _keep_model_name(
    loaded: LoadedRecipe,
    run: RunFolder,
    recorded: Recipe,
    prepared: Preparation,
    *,
    skip_checksums: bool,
) -> LoadedRecipe:
    """Keep the name of a base model that is a folder or a file."""
    model, known = loaded.recipe.model, recorded.model.name_or_path
    if not Path(known).is_absolute():
        return loaded
    if model.name_or_path == known:
        place = model_after_move(known, run, prepared, skip_checksums=skip_checksums)
        return loaded if place is None else replace(loaded, model_at=place)
    place = model.name_or_path
    is_same = Path(place).resolve() == Path(known).resolve()
    if not is_same and (skip_checksums or not _holds_base(Path(place), prepared)):
        return loaded
    kept = model.model_copy(update={"name_or_path": known})
    return replace(loaded, recipe=loaded.recipe.model_copy(update={"model": kept}), model_at=place)


def _looks_like_model(path: Path) -> bool:
    from tutelage.model.names import is_gguf

    return is_gguf(path) or (path / "config.json").is_file() or RunFolder(path).training.is_file()


def _holds_base(path: Path, prepared: Preparation) -> bool:
    """Tell whether a place holds, file for file, the base model that a run was prepared with."""
    if not path.is_absolute():
        return False
    from tutelage.model.sources import locate_model
    from tutelage.system.fetching import user_cache

    with suppress(TutelageError, OSError):
        if path.exists():
            found = locate_model(str(path), cache=user_cache(), progress=lambda label: None)
            return found.fingerprint == prepared.model_sha256 and dict(found.files) == prepared.model_files
    return False
