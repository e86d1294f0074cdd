"""Reads what the evaluation of a run wrote, for a comparison with other runs."""

from pathlib import Path
from typing import Any

from tutelage.config.extensions import SET_METRICS
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load
from tutelage.errors import RunFolderError
from tutelage.evaluation.compare.runs import EvaluatedRun
from tutelage.evaluation.compare.scored_rows import Lines, ScoredRows
from tutelage.evaluation.compare.secondary_scores import (
    GENERAL_TEXT,
    Scored,
    SecondaryScores,
    scored_by_judges,
    scored_functions,
    scored_passages,
    scored_set,
)
from tutelage.evaluation.judge.set_scores import read_judged_set
from tutelage.evaluation.metrics import load_set_metric
from tutelage.objectives import load_objective
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.evaluation import Evaluation, read_evaluation
from tutelage.run.folder import RunFolder, reading_faults
from tutelage.run.functions import read_functions
from tutelage.run.judges import Judges
from tutelage.run.lines import read_json_lines


def read_evaluated_run(run: RunFolder) -> EvaluatedRun:
    """Read the rows, scores and settings of an evaluated run, or checkpoint; RunFolderError where there are none."""
    if not run.root.is_dir():
        raise RunFolderError(
            "run.not_found",
            f"{run.root} is not a folder. Name the folders of runs, for example runs/quickstart.",
        )
    if run.step is not None and not run.metrics.exists():
        _require_evaluated(run, run.step)
    evaluation = read_evaluation(run.require(run.metrics, stage="evaluate"))
    recipe = load(run.require(run.evaluated_recipe, stage="evaluate"), {}, []).recipe
    preparation = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    rows = load_objective(evaluation.objective).evaluation.scored_rows(
        lambda name: read_json_lines(run.evaluation / name), recipe, evaluation
    )
    return EvaluatedRun(
        name=run.name,
        step=run.step,
        recipe=recipe,
        data_sha256=preparation.sha256,
        rows=rows,
        further=_read_further(run, recipe, evaluation, rows),
        row_format=read_functions(run).row_format,
        fingerprints=preparation.fingerprints,
    )


def _require_evaluated(run: RunFolder, step: int) -> None:
    evaluated, saved = run.evaluated_steps(), run.saved_steps()
    if step in saved:
        raise RunFolderError(
            "run.step_not_evaluated",
            f"Step {step} of {run.root} has not been evaluated yet. Run `tutelage evaluate {run.words}`"
            " first.",
        )
    known = sorted({*evaluated, *saved})
    there = f"It has the steps {', '.join(map(str, known))}" if known else "It has no checkpoints"
    raise RunFolderError("run.no_such_checkpoint", f"{run.root} has no checkpoint of step {step}. {there}.")


def _read_further(
    run: RunFolder, recipe: Recipe, evaluation: Evaluation, rows: ScoredRows
) -> SecondaryScores:
    """Read what an evaluation wrote beside the test rows."""
    _check_metrics(run, evaluation)
    sets = {
        name: _read_set(run, recipe, evaluation, name)
        for name, one in evaluation.sets.items()
        if not load_set_metric(one.metric).is_judged
    }
    judges, judged_sets = _read_judges(run, list(rows.answers.values())) if run.judges.exists() else ({}, {})
    return SecondaryScores(
        sets={**sets, **judged_sets},
        judges=judges,
        passages={GENERAL_TEXT: scored_passages(read_json_lines(run.passages))}
        if run.passages.exists()
        else {},
        functions=_read_functions(run, evaluation, rows),
        general_text=evaluation.general_text,
    )


def _check_metrics(run: RunFolder, evaluation: Evaluation) -> None:
    with reading_faults(run.metrics):
        for name, one in evaluation.sets.items():
            if one.metric not in SET_METRICS:
                raise ValueError(f"the set {name} has the unknown metric {one.metric!r:.40}")


def _read_functions(run: RunFolder, evaluation: Evaluation, rows: ScoredRows) -> dict[str, Scored]:
    own = evaluation.functions
    return scored_functions(own, read_json_lines(run.scores), list(rows.answers.values())) if own else {}


def _read_set(run: RunFolder, recipe: Recipe, evaluation: Evaluation, name: str) -> Scored:
    figures = evaluation.sets[name]
    rows = _read_set_rows(run.test_set(name))
    return scored_set(figures, recipe.evaluation.sets.get(name), rows)


def _read_set_rows(path: Path) -> list[dict[str, Any]]:
    rows = read_json_lines(path)
    with reading_faults(path):
        for number, row in enumerate(rows, start=1):
            lost = [key for key in ("row", "prompt", "reference", "tuned") if key not in row]
            if lost or "score" not in row["tuned"]:
                raise ValueError(f"line {number} has no {lost[0] if lost else 'tuned.score'}")
    return rows


def _read_judges(run: RunFolder, answers: Lines) -> tuple[dict[str, Scored], dict[str, Scored]]:
    found = read_artifact(Judges, run.judges)
    names = {name for said in found.judges.values() for name in said.sets}
    sets = {name: read_judged_set(run.evaluation, name) for name in sorted(names)}
    return scored_by_judges(found, read_json_lines(run.judgements), answers, sets)
