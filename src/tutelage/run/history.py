"""The history of a run: when each stage ended, how long it took, and where settings came from.

No result depends on it; it is shown at the top of the report. If it is lost, a new one is started.
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
    """When a stage ended, in UTC, and its duration in seconds."""

    ended: datetime
    seconds: float


@dataclass(frozen=True)
class History:
    """Stages by command, and the origin of each setting: `--set`, or `lora.toml:14`."""

    stages: Mapping[str, StageRecord]
    origins: Mapping[str, str]


_HISTORY = TypeAdapter(History)


def history_file(run: RunFolder) -> Path:
    return run.root / "history.json"


def read_history(run: RunFolder) -> History:
    """Return the history of a run, empty if it is missing or unreadable."""
    try:
        return _HISTORY.validate_json(history_file(run).read_bytes())
    except (OSError, ValidationError):
        return History({}, {})


def record_stage(run: RunFolder, stage: str, *, seconds: float) -> None:
    """Record that a stage has just ended; evaluations of single checkpoints do not count."""
    if run.step is None:
        known = read_history(run)
        record = StageRecord(datetime.now(UTC).replace(microsecond=0), round(seconds, 1))
        _write(run, History({**known.stages, stage: record}, known.origins))


def record_origins(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Record where the settings came from; settings repeated by the run's own recipe keep their origin."""
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
