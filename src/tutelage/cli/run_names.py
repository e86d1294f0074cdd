"""What a name of a run means on the command line, and which run was meant by one that is not there."""

from pathlib import Path

from tutelage.run.folder import RunFolder
from tutelage.stages.run_folders import RUNS
from tutelage.text.spelling import nearest_path


def nearest_run(target: Path) -> Path | None:
    """Return the run that was most likely meant: one of that name in runs/, or one with a name like it."""
    places = [target, RUNS / target] if target.parent == Path() else [target]
    meant = [place for place in places if is_there(place) and _is_run(place)]
    meant += [near for place in places if (near := nearest_path(place, _is_run))]
    return next(iter(meant), None)


def is_there(path: Path) -> bool:
    """Tell whether something is at a path; a name that no file system takes is simply not there."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_run(folder: Path) -> bool:
    return RunFolder(folder).recipe.is_file()
