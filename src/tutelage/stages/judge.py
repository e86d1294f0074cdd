"""The judges of a recipe score the answers that an evaluation left."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config.inactive_settings import OF_JUDGES
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_file import LoadedRecipe, changed_settings, load
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact, write_artifact
from tutelage.run.events import CostReported
from tutelage.run.folder import RunFolder, write_json_lines
from tutelage.run.judges import Judges
from tutelage.run.lines import read_json_lines
from tutelage.stages.session import Session
from tutelage.system.importing import import_modules
from tutelage.system.storage import replace_folder

if TYPE_CHECKING:
    from tutelage.evaluation.judge.judge_session import Progress

FOR_JUDGING = ("tutelage.evaluation.judge.judge",)
COMMAND_LINE = ("--judge", "--set")


def check_judges(loaded: LoadedRecipe) -> None:
    """Stop before anything is computed where a judge or the labels of a recipe cannot be used."""
    from tutelage.evaluation.judge.judge import check_judge_settings

    named_here = loaded.origins.get("evaluation.judges") in COMMAND_LINE
    check_judge_settings(loaded.recipe.evaluation, named_here=named_here)


def judges_only(session: Session) -> bool:
    """Tell whether the answers are there and judges are named, so that no model need answer again."""
    return session.run.metrics.exists() and bool(session.recipe.evaluation.judges)


def check_answer_settings(session: Session) -> None:
    """Stop where the answers that are there were made with other settings than the recipe says now."""
    own = load(session.run.evaluated_recipe, {}, [])
    changed = changed_settings(own.recipe, session.recipe, sections=("evaluation",), apart_from=OF_JUDGES)
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{session.run.evaluation} holds answers made with other settings: {', '.join(changed)}. Leave"
            " these settings out to judge the existing answers, or add --overwrite to generate new ones.",
        )


def judge(session: Session) -> Judges | None:
    """Ask every judge of the recipe about the answers in the folder, and keep what it says; None without judges."""
    if not session.recipe.evaluation.judges:
        return None
    reporter = session.reporter

    def progress(name: str, total: int) -> Callable[[int], None]:
        return reporter.progress(f"Requests to {name}", total)

    with session.stage("judge") as finish:
        with reporter.waiting("Reading the answers"):
            import_modules(FOR_JUDGING)
        found = judge_run(
            session.run,
            session.recipe.evaluation,
            progress=progress,
            tell=lambda text: reporter.emit(CostReported(text=text)),
        )
        finish(found)
    return found


def judge_run(
    run: RunFolder,
    settings: EvaluationSettings,
    *,
    progress: "Progress",
    tell: Callable[[str], None] = lambda line: None,
) -> Judges:
    """Ask every judge about the answers in a run folder, write what they said, and return what judges.json says."""
    from tutelage.evaluation.judge.judge import FinishedEvaluation, judge_answers
    from tutelage.evaluation.judge.set_scores import read_judged_sets

    finished = FinishedEvaluation(
        base=read_json_lines(run.responses("base")),
        tuned=read_json_lines(run.responses("tuned")),
        sets=read_judged_sets(run.evaluation, settings),
        preparation=read_artifact(Preparation, run.preparation),
        training=run.training.read_text(encoding="utf-8") if run.training.exists() else "",
        spent_by=(str(run.root.resolve()), run.evaluation.name),
    )
    found, records = judge_answers(finished, settings, progress=progress, tell=tell)
    _write(run, records, found)
    return found


def _write(run: RunFolder, records: Sequence[dict[str, Any]], found: Judges) -> None:
    """Publish the evaluation anew with what was said about it, so that its manifest names that too."""
    of_before = shutil.ignore_patterns(run.judgements.name, run.judges.name)

    def fill(staged: Path) -> None:
        shutil.copytree(run.evaluation, staged, dirs_exist_ok=True, ignore=of_before)
        write_json_lines(staged / run.judgements.name, records)
        write_artifact(staged / run.judges.name, found)

    replace_folder(run.evaluation, fill)


def is_trusted(found: Judges | None) -> bool:
    """Tell whether every judge that was asked can be relied on, on the test rows and on each named set."""
    judges = found.judges.values() if found else ()
    return all(one.trusted for result in judges for one in (result, *result.sets.values()))
