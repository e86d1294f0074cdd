"""What model.adapter stands for: a run, one of its checkpoints, or any folder in PEFT format; and what follows from it.

Rank, alpha and target modules are those of the adapter, and so is the base model of a run, unless the recipe names one.
A run knows its adapter by the hash that it recorded; the path says where to look first.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe, load
from tutelage.errors import ModelError, RecipeError, RunFolderError, TutelageError
from tutelage.model.names import is_hub_id
from tutelage.model.starting_adapter import OWN_SETTINGS, StartingAdapter, read_adapter
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import ExportFolder, RunFolder
from tutelage.stages.compare import named_run
from tutelage.stages.moved_inputs import model_after_move, places_around

if TYPE_CHECKING:
    from tutelage.model.sources import ModelSource

ORIGIN = "model.adapter"  # of the settings that it decides


def settle_adapter(loaded: LoadedRecipe, run: RunFolder, recorded: Recipe | None) -> LoadedRecipe:
    """Give a recipe the settings of the adapter that it goes on from; RecipeError where others are given by hand.

    What the run has `recorded` was settled when it began, and needs no adapter to be there.
    """
    named = loaded.recipe.model.adapter
    if named is None:
        return loaded
    if recorded and recorded.model.adapter == named:
        loaded = replace(loaded, adapter_at=place_after_move(named, run))
    if recorded and (recorded.model, recorded.adapter) == (loaded.recipe.model, loaded.recipe.adapter):
        return loaded
    place = loaded.adapter_at or Path(named).expanduser()
    own = own_run(place)
    if own is not None and own.root.resolve() == run.root.resolve():
        raise ModelError(
            "model.adapter_of_this_run",
            f"model.adapter is {named}, the run that this command would overwrite together with its adapter."
            " Choose another --output.",
        )
    adapter = find_adapter(str(place))
    recipe = loaded.recipe
    if own is None and "model.name_or_path" not in loaded.origins:
        _check_default_base(adapter, recipe.model.name_or_path)
    if recorded and adapter.sha256 == recorded_hash(
        run
    ):  # whose settings then say the same in the run's own words
        adapter = replace(adapter, settings=recorded.adapter)
    by_hand = {name for name, origin in loaded.origins.items() if origin.startswith("-")}
    given = [name for name in OWN_SETTINGS if f"adapter.{name}" in by_hand]
    check_adapter_settings(recipe, adapter, given)
    settings = {name: getattr(adapter.settings, name) for name in OWN_SETTINGS}
    model: dict[str, Any] = {"adapter": absolute_adapter(named)}
    origins = dict(loaded.origins) | {f"adapter.{name}": ORIGIN for name in OWN_SETTINGS if name not in given}
    if own is not None and "model.name_or_path" not in loaded.origins:
        base = recipe_of_run(own).model.name_or_path
        model["name_or_path"] = (
            model_after_move(base, own, read_artifact(Preparation, own.preparation)) or base
        )
        origins["model.name_or_path"] = ORIGIN
    recipe = recipe.model_copy(
        update={
            "adapter": recipe.adapter.model_copy(update=settings),
            "model": recipe.model.model_copy(update=model),
        }
    )
    return replace(loaded, recipe=recipe, origins=origins)


def find_adapter(named: str) -> StartingAdapter:
    """Return the adapter that model.adapter means; ModelError where there is none that can be trained further."""
    path = Path(named).expanduser()
    run = own_run(path)
    if run is not None:
        return _adapter_of_run(run, named)
    if not path.is_dir():
        raise ModelError(
            "model.adapter_not_found",
            f"model.adapter is {named}, which is neither a run nor a folder with an adapter. Give a run or a"
            " folder in PEFT format in the same command, for example --set model.adapter=runs/NAME; if it"
            " was moved, give its new path, or change it in the run's recipe.toml.",
        )
    return read_adapter(path, named)


def check_adapter_settings(recipe: Recipe, adapter: StartingAdapter, names: Any = OWN_SETTINGS) -> None:
    """Stop where a recipe sets what the adapter decides to something else."""
    odd = {
        name: value for name in names if not _is_same(value := getattr(recipe.adapter, name), adapter, name)
    }
    if odd:
        named = [f"adapter.{name}" for name in odd]
        told = " and ".join(
            f"adapter.{name} is {value!r}, but the adapter {adapter.name} has {getattr(adapter.settings, name)!r}"
            for name, value in odd.items()
        )
        raise RecipeError(
            "settings.adapter_differs",
            f"{told}. A starting adapter keeps its own settings, so leave {' and '.join(named)} out.",
        )


def check_adapter_base(adapter: StartingAdapter, source: "ModelSource") -> None:
    """Stop where the base model is not, to the byte, the one that an adapter of a run was trained on."""
    if adapter.base_sha256 is None or adapter.base_sha256 == source.fingerprint:
        return
    raise ModelError(
        "model.adapter_of_other_base",
        f"The adapter {adapter.name} was trained on {adapter.base_name} (SHA-256"
        f" {adapter.base_sha256[:12]}…), but model.name_or_path is {source.name} (SHA-256"
        f" {source.fingerprint[:12]}…). Train on the adapter's base model: --set"
        f" model.name_or_path={adapter.base_name}",
    )


def absolute_adapter(named: str) -> str:
    """Return the name under which a run keeps its starting adapter, so that a command from another folder finds it."""
    return str(Path(named).expanduser().absolute())


def own_run(path: Path) -> RunFolder | None:
    """Return the run that a path means: its folder, RUN@STEP, its model/, export/peft or a checkpoint; else None."""
    path = path.absolute()  # which knows what the folder `.` is in
    return _run_around(path) or _run_named(path)


def _run_around(path: Path) -> RunFolder | None:
    """Return the run that a folder is a part of."""
    whole = RunFolder(path.parent)
    if whole.model == path and whole.recipe.is_file():
        return whole
    whole = RunFolder(path.parent.parent)
    if not whole.recipe.is_file():
        return None
    if ExportFolder(whole.export).of("peft") == path:
        return whole
    steps = [step for step in whole.saved_steps() if whole.checkpoint(step) == path]
    return replace(whole, step=steps[0]) if steps else None


def _run_named(path: Path) -> RunFolder | None:
    run = named_run(path)
    # The model/ of a run that was copied out of it holds a recipe too.
    is_model_alone = (run.root / run.training.name).is_file()
    return run if run.recipe.is_file() and not is_model_alone else None


def place_after_move(named: str, run: RunFolder) -> Path | None:
    """Return where the adapter that a run began with is now, if it was moved with it; None where it is where it was."""
    path = Path(named).expanduser()
    recorded = recorded_hash(run)
    if recorded is None or _is_there(path):
        return None
    for place in places_around(run, path):
        with suppress(TutelageError):  # something else of that name
            if _is_there(place) and find_adapter(str(place)).sha256 == recorded:
                return place
    return None


def recorded_hash(run: RunFolder) -> str | None:
    """Return the SHA-256 of the adapter that a run began with; None where it began with none, or does not tell."""
    with suppress(RunFolderError):
        return read_artifact(Preparation, run.preparation).fingerprints.get("adapter")
    return None


def _is_there(path: Path) -> bool:
    return path.is_dir() or own_run(path) is not None


def is_other_hub_model(adapter: StartingAdapter, source: "ModelSource") -> bool:
    """Tell whether a folder names a model of the hub as its base, and the base model is another one of the hub."""
    told = adapter.named_base
    if adapter.base_sha256 is not None or told is None or source.original is None or not is_hub_id(told):
        return False
    return told.partition("@")[0].casefold() != source.original.name.casefold()


def _check_default_base(adapter: StartingAdapter, default: str) -> None:
    """Stop where an adapter would be put on the default model, though it names another one."""
    if adapter.named_base not in (None, default):
        raise ModelError(
            "model.adapter_base_not_given",
            f"model.adapter is {adapter.name}, which names {adapter.named_base} as its base model, but"
            f" model.name_or_path is not set and defaults to {default}. Set it: --set"
            f" model.name_or_path={adapter.named_base}",
        )


def recipe_of_run(run: RunFolder) -> Recipe:
    """Return the recipe that the adapter of a run was trained with."""
    path = run.trained_recipe if run.step is None and run.trained_recipe.is_file() else run.recipe
    return load(path, {}, []).recipe


def _adapter_of_run(run: RunFolder, named: str) -> StartingAdapter:
    from tutelage.stages.settings import is_given, require_checkpoint

    if run.step is None and not run.training.is_file():
        steps = run.saved_steps()
        among = (
            (f", or start from one of its checkpoints: --set model.adapter={run.root}@{steps[-1]}")
            if steps
            else ""
        )
        raise ModelError(
            "model.adapter_run_unfinished",
            f"model.adapter is {named}, a run whose training is not finished. Finish it first: `tutelage train"
            f" {run.root}`{among}.",
        )
    require_checkpoint(run)
    recipe, preparation = recipe_of_run(run), read_artifact(Preparation, run.preparation)
    if not is_given("answers", recipe):
        raise ModelError(
            "model.adapter_of_classification",
            f"model.adapter is {named}, a run trained for {recipe.objective.task}, whose model writes no"
            " answers. Name a run that was trained on answers.",
        )
    if not recipe.tuning.is_lora:
        raise ModelError(
            "model.adapter_not_lora",
            f"model.adapter is {named}, a run that trained the model's own weights and has no adapter."
            f" Export it (`tutelage export {run.root} --to hf`) and use it as the base model: --set"
            f" model.name_or_path={run.root}",
        )
    found = read_adapter(run.weights, named)
    settings = found.settings.model_copy(update={"target_modules": recipe.adapter.target_modules})
    return replace(
        found,
        settings=settings,
        named_base=recipe.model.name_or_path,
        base_sha256=preparation.model_sha256,
        prompt=recipe.data.prompt_template,
    )


def _is_same(value: Any, adapter: StartingAdapter, name: str) -> bool:
    wanted = getattr(adapter.settings, name)
    if isinstance(value, list) and isinstance(wanted, list):
        return sorted(value) == sorted(wanted)
    return value == wanted
