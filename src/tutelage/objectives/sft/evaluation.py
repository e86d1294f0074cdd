"""The evaluation of an instruction tuning: answers of both models to the test rows, compared."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.evaluation.answers.responses import Progress, Waiting
from tutelage.evaluation.compare.scored_rows import ScoredRows, scored_answers
from tutelage.evaluation.eval_sets.named_sets import NamedSet
from tutelage.evaluation.evaluate import Evaluated, evaluate
from tutelage.evaluation.metrics.metrics import OwnMetric
from tutelage.evaluation.work_ahead import answers_work
from tutelage.model.trained import TrainedModel
from tutelage.objectives.spec import EvaluationPart, ReadLines
from tutelage.run.folder import ARMS, SCORES, responses_name
from tutelage.training.work import Work


def evaluate_answers(
    trained: TrainedModel,
    splits: Callable[[str], PreparedRows],
    *,
    sets: Sequence[NamedSet],
    own: Sequence[OwnMetric],
    kept: Path,
    progress: Progress,
    waiting: Waiting,
) -> Evaluated:
    """Ask both models the test rows and the eval sets, and compare their answers."""
    return evaluate(
        trained, splits("test"), sets=sets, own=own, kept=kept, progress=progress, waiting=waiting
    )


def work_of_answers(
    recipe: Recipe,
    rows: PreparedRows,
    sets: Sequence[NamedSet],
    *,
    validation: PreparedRows,
    tokenizer: Any,
    is_padded: bool,
) -> Work:
    """Return the work of both models; the fine-tuned one is taken to answer as long as the references."""
    return answers_work(recipe, rows, sets, tokenizer=tokenizer, is_padded=is_padded)


def scored_answer_rows(read_lines: ReadLines, recipe: Recipe) -> ScoredRows:
    """Return what each answer scored."""
    base, tuned = (read_lines(responses_name(arm)) for arm in ARMS)
    return scored_answers(read_lines(SCORES), base, tuned, primary=recipe.evaluation.primary_metric)


EVALUATION = EvaluationPart(evaluate_answers, work_of_answers, scored_answer_rows)
