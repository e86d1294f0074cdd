"""The evaluation of an instruction tuning: answers of both models to the test rows, compared."""

from tutelage.config.recipe import Recipe
from tutelage.evaluation.compare.scored_rows import ScoredRows, scored_answers
from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs, evaluate
from tutelage.evaluation.work_ahead import answers_work
from tutelage.objectives.spec import EvaluationPart, ReadLines
from tutelage.run.evaluation import Evaluation
from tutelage.run.folder import SCORES, VARIANTS, responses_name


def evaluate_answers(inputs: EvaluationInputs) -> Evaluated:
    """Ask both models the test rows and the eval sets, and compare their answers."""
    return evaluate(inputs, inputs.split("test"))


def scored_answer_rows(read_lines: ReadLines, recipe: Recipe, evaluation: Evaluation) -> ScoredRows:
    """Return what each answer scored."""
    base, tuned = (read_lines(responses_name(variant)) for variant in VARIANTS)
    return scored_answers(read_lines(SCORES), base, tuned, primary=evaluation.primary_metric)


EVALUATION = EvaluationPart(evaluate_answers, answers_work, scored_answer_rows)
