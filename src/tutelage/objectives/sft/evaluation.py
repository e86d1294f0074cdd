"""The evaluation of an instruction tuning: answers of both models to the test rows, compared."""

from tutelage.config.recipe import Recipe
from tutelage.evaluation.compare.scored_rows import ScoredRows, scored_answers
from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs, evaluate
from tutelage.evaluation.work_ahead import EvaluationAhead, answers_work, baselines_work
from tutelage.objectives.spec import EvaluationPart, ReadLines
from tutelage.run.evaluation import Evaluation
from tutelage.run.folder import SCORES, VARIANTS, responses_name
from tutelage.training.work import Work


def evaluate_answers(inputs: EvaluationInputs) -> Evaluated:
    """Ask both models the test rows and the eval sets, and compare their answers."""
    return evaluate(inputs, inputs.split("test"))


def scored_answer_rows(read_lines: ReadLines, recipe: Recipe, evaluation: Evaluation) -> ScoredRows:
    """Return what each answer scored."""
    base, tuned = (read_lines(responses_name(variant)) for variant in VARIANTS)
    return scored_answers(read_lines(SCORES), base, tuned, primary=evaluation.primary_metric)


def evaluation_work(ahead: EvaluationAhead) -> Work:
    """Return the work of both models on the test rows and of the base model on the prompts of the baselines."""
    return answers_work(ahead) + baselines_work(ahead)


EVALUATION = EvaluationPart(evaluate_answers, evaluation_work, scored_answer_rows)
