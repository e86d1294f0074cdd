"""The judges of a recipe score the answers that an evaluation left."""

from collections.abc import Callable

from tutelage.config.effects import OF_JUDGES
from tutelage.config.recipe_file import LoadedRecipe, changed_settings, load
from tutelage.errors import RunFolderError
from tutelage.run.events import CostTold
from tutelage.run.judges import Judges
from tutelage.stages.session import Session

COMMAND_LINE = ("--judge", "--set")


def refuse_judges(loaded: LoadedRecipe) -> None:
    """Stop before anything is computed where a judge or the labels of a recipe cannot be used."""
    from tutelage.evaluation.judging.judge import refuse_judges_at_fault

    named_here = loaded.origins.get("evaluation.judges") in COMMAND_LINE
    refuse_judges_at_fault(loaded.recipe.evaluation, named_here=named_here)


def judges_only(session: Session) -> bool:
    """Tell whether the answers are there and judges are named, so that no model need answer again."""
    return session.run.metrics.exists() and bool(session.recipe.evaluation.judges)


def refuse_other_answers(session: Session) -> None:
    """Stop where the answers that are there were made with other settings than the recipe says now."""
    own = load(session.run.evaluated_recipe, {}, [])
    changed = changed_settings(own.recipe, session.recipe, sections=("evaluation",), apart_from=OF_JUDGES)
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{session.run.evaluation} holds answers made with other settings: {', '.join(changed)}. Leave them out to"
            " judge those answers, or add --overwrite to make new ones.",
        )


def judge(session: Session) -> Judges | None:
    """Ask every judge of the recipe about the answers in the folder, and keep what it says; None without judges."""
    if not session.recipe.evaluation.judges:
        return None
    reporter = session.reporter

    def progress(name: str, total: int) -> Callable[[int], None]:
        return reporter.progress(f"{name} is asked", total)

    with session.stage("judge") as finish:
        with reporter.waiting("Reading the answers"):
            from tutelage.evaluation.judging.judge import judge_run
        found = judge_run(
            session.run,
            session.recipe.evaluation,
            progress=progress,
            tell=lambda text: reporter.emit(CostTold(text=text)),
        )
        finish(found)
    return found


def is_trusted(found: Judges | None) -> bool:
    """Tell whether every judge that was asked can be relied on, on the test rows and on each named set."""
    judges = found.judges.values() if found else ()
    return all(one.trusted for result in judges for one in (result, *result.sets.values()))
