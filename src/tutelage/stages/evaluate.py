"""Stage 3: base and tuned model answer the test rows, and their answers are scored and compared."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.codes import all_codes
from tutelage.errors import DataError, RecipeError, RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact, write_artifact
from tutelage.run.evaluation import Evaluation, mark_exploratory, read_evaluation
from tutelage.run.folder import RunFolder, read_json, write_json_lines
from tutelage.run.functions import FunctionSource
from tutelage.run.history import record_stage
from tutelage.run.judges import Judges
from tutelage.stages.estimate import Ahead
from tutelage.stages.functions import scored
from tutelage.stages.judge import check_answer_settings, check_judges, is_trusted, judge, judges_only
from tutelage.stages.report import Reported, make_report
from tutelage.stages.session import Session
from tutelage.stages.settings import check_trained_settings, require_checkpoint, require_overwrite
from tutelage.stages.warnings import warn_of_emulated_bfloat16
from tutelage.system.storage import remove, replace_folder

if TYPE_CHECKING:
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.evaluation.eval_sets.sets import Answers, EvalSet
    from tutelage.evaluation.metrics.metrics import OwnMetric


@dataclass(frozen=True)
class Outcome:
    """What was found; None of what was not evaluated, judged or reported, as a single checkpoint has no report."""

    evaluation: Evaluation | None
    judges: Judges | None
    reported: Reported | None
    is_worse: bool

    @property
    def is_trusted(self) -> bool:
        """Whether every judge that was asked can be relied on."""
        return is_trusted(self.judges)


def evaluate(session: Session, *, overwrite: bool = False) -> Outcome:
    """Collect the answers of both models on the test rows, compare and score them, and report what came of it.

    Where the answers are there already and a judge is named, the judge alone is asked.
    """
    run = session.run
    check_evaluation(session)
    if not overwrite and keeps_answers(session):
        check_answer_settings(session)
        with session.writing():
            found = read_evaluation(run.metrics)
            judges = judge(session)
            session.record_recipe()
            return _outcome(session, found, judges)
    require_overwrite(run.evaluation, overwrite=overwrite, what="an evaluation")
    own_metrics(session)
    with session.writing():
        found = answer_and_score(session)
        return _outcome(session, found, judge(session))


def check_evaluation(session: Session) -> None:
    """Stop where an evaluation could not honour a setting, or its weights or judges cannot be used."""
    check_trained_settings(session)
    require_checkpoint(session.run)
    check_judges(session.loaded)


def keeps_answers(session: Session) -> bool:
    """Tell whether the answers are there, and only judges or the report are wanted of them."""
    return judges_only(session) or _lacks_report(session.run)


def evaluate_or_read(session: Session) -> Outcome:
    """Evaluate where that is not done yet, have the answers judged, and report; without test rows only the last."""
    run = session.run
    if not read_artifact(Preparation, run.preparation).rows.test:
        session.reporter.note(
            "evaluate.no_test_rows",
            "there are no test rows (data.test_size is 0), so nothing was evaluated.",
        )
        return _outcome(session, None, None)
    if run.metrics.exists():
        found = read_evaluation(run.metrics)
        if run.answers.exists():
            remove(run.answers)  # a crash came after the evaluation was whole and before this
    else:
        found = answer_and_score(session)
    return _outcome(session, found, judge(session))


def _outcome(session: Session, found: Evaluation | None, judges: Judges | None) -> Outcome:
    """Write the report, but for a single checkpoint: summary and report are about the run's own evaluation."""
    has_worsened = found is not None and (is_worse(found) or has_worse_set(session.run))
    reported = make_report(session) if session.run.step is None else None
    return Outcome(found, judges, reported, has_worsened)


def answer_and_score(session: Session) -> Evaluation:
    """Ask both models, score their answers and compare them."""
    sets = read_eval_sets(session, lambda: read_training(session))
    run, reporter = session.run, session.reporter
    own = own_metrics(session)
    earlier = _earlier_evaluation(run)
    begin = time.monotonic()
    with session.stage("evaluate") as finish:
        for one in sets:
            for note in one.notes:
                if not all_codes()[note.code].about_training:
                    reporter.note(note.code, f"The test set {one.name}: {note.text}")
        with reporter.one_at_a_time() as waiting:
            waiting("Loading the model")
            from tutelage.evaluation.evaluate import EvaluationInputs

            part = session.objective.evaluation
            warn_of_emulated_bfloat16(session)
            trained = session.trained_unchanged()
            test = _test_rows(session)
            inputs = EvaluationInputs(
                trained,
                lambda split: test if split == "test" else session.rows(split),
                sets=sets,
                own=own,
                kept=run.answers,
                progress=reporter.progress,
                waiting=waiting,
            )
            evaluated = part.evaluate(inputs)
            found = mark_exploratory(evaluated.evaluation, earlier)
            _write(run, found, evaluated.files)
        session.record_recipe()
        record_stage(run, "evaluate", seconds=time.monotonic() - begin)
        finish(found)
    return found


def _test_rows(session: Session) -> "PreparedRows":
    """Return the rows that a run is evaluated on; what speaks against it is said before the first long answer."""
    from tutelage.evaluation.evaluated_rows import rows_to_evaluate

    run = session.run
    rows = session.rows("test")
    if not rows:
        raise DataError(
            "evaluate.no_test_rows",
            f"{run.split('test')} holds no rows, so there is nothing to evaluate on. Prepare the run again"
            f" with test rows: `tutelage prepare {run.root} --overwrite --set data.test_size=0.1`.",
        )
    return rows_to_evaluate(rows, session.recipe, session.source)


def _earlier_evaluation(run: RunFolder) -> Evaluation | None:
    """Return the evaluation that is about to be replaced; None where there is none that this version can read."""
    try:
        return read_evaluation(run.metrics) if run.metrics.exists() else None
    except RunFolderError:
        return None


def _write(run: RunFolder, found: Evaluation, files: "Mapping[str, Answers]") -> None:
    """Put an evaluation into the run folder, and drop the answers that it was made from."""

    def fill(staged: Path) -> None:
        for name, lines in files.items():
            write_json_lines(staged / name, lines)
        write_artifact(staged / run.metrics.name, found)

    replace_folder(run.evaluation, fill)
    if run.answers.exists():
        remove(run.answers)


def own_metrics(session: Session) -> "list[OwnMetric]":
    """Return the metrics of the user's own, or stop where one cannot be had or the objective has no answers."""
    functions = session.inputs.functions.metrics or ()
    if not functions:
        return []
    if not session.recipe.objective.has_effect("evaluation.primary_metric"):
        raise RecipeError(
            "settings.inactive",
            f"training.objective is {session.recipe.objective.name}, so the metrics"
            f" {', '.join(one.record.path for one in functions)} have no effect. Leave them out.",
        )
    from tutelage.evaluation.metrics.metrics import OwnMetric

    return [
        OwnMetric(
            one.record.name, FunctionSource(path=one.record.path, sha256=one.record.sha256), scored(one)
        )
        for one in functions
    ]


def check_rows_to_evaluate(session: Session) -> None:
    """Stop where an evaluation would, before anything is asked; without the model nothing is known of that."""
    if not session.inputs.has_model():
        return
    session.trained_unchanged()
    _test_rows(session)
    read_eval_sets(session, lambda: read_training(session))


def evaluation_ahead(session: Session, splits: Mapping[str, Any]) -> Ahead | None:
    """Return what is evaluated after a training on these rows, or stop where it could not be; None without test rows.

    Found out before an hour of training: that a test prompt leaves no room for its answer, and that a named set holds
    what is trained on.
    """
    from tutelage.evaluation.evaluated_rows import rows_to_evaluate

    if not _has_test_rows(splits, session):
        return None
    sets = read_eval_sets(session, lambda: splits["train"])
    rows_to_evaluate(splits["test"], session.recipe, session.source)
    return Ahead(splits["test"], splits["validation"], sets)


def _has_test_rows(splits: Mapping[str, Any], session: Session) -> bool:
    """Tell whether there is something to evaluate; stop where there is not and the recipe asks for more than that."""
    recipe = session.recipe
    asked = [name for name in ("sets", "judges") if getattr(recipe.evaluation, name)]
    if not splits["test"] and asked:
        named = " and ".join(f"evaluation.{name}" for name in asked)
        raise DataError(
            "evaluate.no_test_rows",
            f"{recipe.data.source} leaves no test rows, and {named} is only evaluated together with test"
            f" rows. Set data.test_size above 0, or leave {named} out.",
        )
    return bool(splits["test"])


def read_training(session: Session) -> Sequence[Any]:
    """Return the prepared rows that the run's model is trained on."""
    return session.rows("train")


def read_eval_sets(session: Session, training: Callable[[], Sequence[Any]]) -> "Sequence[EvalSet]":
    """Return the named sets of a recipe, or stop where one holds what is trained on or cannot be scored.

    `training` gives the prepared rows that are trained on; without a set they are not asked for.
    """
    if not session.recipe.evaluation.sets:
        return []
    from tutelage.evaluation.eval_sets.sets import load_eval_sets
    from tutelage.evaluation.evaluated_rows import require_context_space
    from tutelage.system.fetching import user_cache

    source = session.source
    recipe = session.recipe
    sets = load_eval_sets(recipe, source.folder, training=training(), cache=user_cache())
    for one in sets:
        longest = max(one.rows, key=lambda row: row.example.prompt_tokens)
        require_context_space(longest.example, recipe.evaluation, source)
    return sets


def _lacks_report(run: RunFolder) -> bool:
    """Tell whether an evaluation was ended before it wrote what came of it, as where the disk is full."""
    if run.step is not None or not run.metrics.exists():
        return False
    return not run.summary.exists() or "evaluation" not in read_json(run.summary)


def is_worse(found: Evaluation) -> bool:
    """Tell whether an evaluation found the tuned model worse in anything that it judged."""
    verdicts = {*found.verdicts, *(one.verdict for one in found.sets.values())}
    has_forgotten = found.general_text is not None and found.general_text.verdict == "fail"
    return "worse" in verdicts or has_forgotten


def has_worse_set(run: RunFolder) -> bool:
    """Tell whether a judge that is trusted on a named set found the tuned model worse there."""
    judges = read_artifact(Judges, run.judges).judges.values() if run.judges.exists() else ()
    return any(one.verdict == "worse" for result in judges for one in result.sets.values())
