"""The fine-tuned models of runs on the same test rows, against a baseline."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.errors import RunFolderError
from tutelage.run.folder import RunFolder

if TYPE_CHECKING:
    from tutelage.evaluation.compare.runs import RunsCompared


def compare(runs: Sequence[Path], *, baseline: Path | None = None) -> "RunsCompared":
    """Compare evaluated runs, or as RUN@STEP checkpoints, with one of them: the first, or the `baseline`.

    RunFolderError where two were not tested on the same rows.
    """
    if len(runs) < 2:
        raise RunFolderError(
            "compare.too_few_runs",
            "A comparison needs at least two runs. Name the folders of evaluated runs.",
        )
    folders = [named_run(run) for run in runs]
    first = folders[0] if baseline is None else _one_of(folders, baseline)
    _require_distinct_runs(folders)
    from tutelage.evaluation.compare.runs import compare_runs
    from tutelage.stages.evaluated_runs import read_evaluated_run

    in_order = sorted(folders, key=lambda folder: folder != first)
    return compare_runs([read_evaluated_run(folder) for folder in in_order])


def write_page(path: Path, compared: "RunsCompared") -> None:
    """Write a comparison as a page."""
    from tutelage.report.comparison_page import write_comparison

    write_comparison(path, compared)


def named_run(named: Path) -> RunFolder:
    """Take RUN@STEP apart; a folder that has such a name is that folder."""
    root, _, step = str(named).rpartition("@")
    if not root or named.exists() or not Path(root).is_dir():
        return RunFolder(named)
    if not re.fullmatch(r"\d{1,9}", step, re.ASCII):
        raise RunFolderError(
            "compare.step_not_a_number",
            f"{named} has no step number after the @. Add one, for example {root}@100.",
        )
    return RunFolder(Path(root), int(step))


def _one_of(runs: Sequence[RunFolder], baseline: Path) -> RunFolder:
    wanted = named_run(baseline)
    for run in runs:
        if (run.root.resolve(), run.step) == (wanted.root.resolve(), wanted.step):
            return run
    raise RunFolderError(
        "compare.unknown_baseline", f"--baseline {baseline} is not one of the runs. Add it to the runs."
    )


def _require_distinct_runs(folders: Sequence[RunFolder]) -> None:
    resolved = [(folder.root.resolve(), folder.step) for folder in folders]
    for folder, place in zip(folders, resolved, strict=True):
        if resolved.count(place) > 1:
            raise RunFolderError(
                "compare.run_named_twice", f"{folder.name} is given twice. Give each run once."
            )
