"""What a run remembers beside its results: when each stage ended, how long it took, and where the settings came from.

No result depends on it. It is for the head of the report, so that a history that was lost is begun anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe, walk
from tutelage.run.folder import RunFolder, write_json


@dataclass(frozen=True)
class StageRecord:
    """When a stage ended, in UTC, and how many seconds it took."""

    ended: datetime
    seconds: float


@dataclass(frozen=True)
class History:
    """The stages by their commands, and by setting where a value came from: `--set`, or `lora.toml:14`."""

    stages: Mapping[str, StageRecord]
    origins: Mapping[str, str]


_HISTORY = TypeAdapter(History)


def history_file(run: RunFolder) -> Path:
    return run.root / "history.json"


def read_history(run: RunFolder) -> History:
    """Return the history of a run, an empty one where there is none or it cannot be read."""
    try:
        return _HISTORY.validate_json(history_file(run).read_bytes())
    except (OSError, ValidationError):
        return History({}, {})


def record_stage(run: RunFolder, stage: str, *, seconds: float) -> None:
    """Note that a stage has just ended; an evaluation of one checkpoint is no stage of the run."""
    if run.step is None:
        known = read_history(run)
        record = StageRecord(datetime.now(UTC).replace(microsecond=0), round(seconds, 1))
        _write(run, History({**known.stages, stage: record}, known.origins))


def record_origins(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Note where the settings came from; what the run's own recipe repeats keeps the origin that it had."""
    if run.step is not None:
        return
    known, defaults = read_history(run), {name: value for name, value, _ in walk(Recipe())}
    found = {}
    for setting in loaded.settings():
        if not setting.origin.startswith(f"{run.recipe.name}:"):
            found[setting.name] = setting.origin
        elif setting.name in known.origins or setting.value != defaults[setting.name]:
            found[setting.name] = known.origins.get(setting.name, setting.origin)
    given = {name: origin for name, origin in found.items() if origin != "default"}
    _write(run, History(known.stages, given))


def _write(run: RunFolder, history: History) -> None:
    write_json(history_file(run), _HISTORY.dump_python(history, mode="json"))
