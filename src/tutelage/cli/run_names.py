"""Interpret the names of runs on the command line, and suggest existing ones."""

from pathlib import Path

from tutelage.run.folder import RunFolder
from tutelage.stages.run_folders import RUNS
from tutelage.text.spelling import nearest_path


def nearest_run(target: Path) -> Path | None:
    """Return the most likely run: one with that name in runs/, or one with a similar name."""
    places = [target, RUNS / target] if target.parent == Path() else [target]
    meant = [place for place in places if is_there(place) and _is_run(place)]
    meant += [near for place in places if (near := nearest_path(place, _is_run))]
    return next(iter(meant), None)


def is_there(path: Path) -> bool:
    """Return whether a path exists; names that the file system rejects do not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_run(folder: Path) -> bool:
    return RunFolder(folder).recipe.is_file()
