"""How far apart KTO has moved desirable and undesirable answers that were not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tutelage.config.recipe import PreferenceSettings
from tutelage.errors import DataError
from tutelage.evaluation.answers.responses import Progress, reference_log_probs
from tutelage.evaluation.eval_sets.sets import Answers
from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs, evaluate, own_verdict
from tutelage.evaluation.metrics.bits_per_byte import bits_per_byte
from tutelage.evaluation.paired.verdict import FEWEST_ROWS, NO_DIFFERENCE, NO_VERDICT, Word
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.evaluation.work_ahead import EvaluationAhead, answers_work
from tutelage.model.forward import CausalModel
from tutelage.objectives.kto.margin import Margin, margin_of_means
from tutelage.objectives.sft.evaluation import scored_answer_rows
from tutelage.objectives.spec import EvaluationPart
from tutelage.run.folder import VARIANTS
from tutelage.training.work import Work
from tutelage.tree.examples import PreparedRow

LINES = "judged.jsonl"  # a line for each test row, in the folder of the evaluation
KINDS = ("desirable", "undesirable")


@dataclass(frozen=True)
class ReadAnswers:
    """What both models give the answers of the test rows, in nats: `base` and `tuned` (rows,)."""

    rows: Sequence[PreparedRow]
    base: np.ndarray
    tuned: np.ndarray

    @property
    def is_desirable(self) -> np.ndarray:
        """Which answers are desirable: (rows,)."""
        return np.array([row.example.is_desirable is True for row in self.rows])

    def rewards(self, beta: float) -> np.ndarray:
        """Return beta times what each answer gained: (rows,)."""
        return beta * (self.tuned - self.base)

    def clusters(self) -> np.ndarray:
        """Return the same label for rows whose prompts resemble each other: (rows,)."""
        return cluster_rows([row.prompt for row in self.rows])


@dataclass
class UndesirableReading:
    """What both models give the undesirable answers, beside the desirable ones that their own are scored on."""

    desirable: Sequence[PreparedRow]
    undesirable: Sequence[PreparedRow]
    settings: PreferenceSettings
    log_probs: dict[str, list[float]] = field(default_factory=dict)

    def read(self, variant: str, model: CausalModel, told: Progress) -> None:
        """Let a model read the undesirable answers."""
        advance = told("scores the undesirable answers", len(self.undesirable))
        self.log_probs[variant] = reference_log_probs(model, self.undesirable, progress=advance)

    def judge(
        self, result: dict[str, Any], records: Mapping[str, Answers], clusters: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Answers]]:
        """Return the figures with those of the margin, whose verdict decides, and a line for each row."""
        base, tuned = (
            np.array([*(one["reference_log_prob"] for one in records[variant]), *self.log_probs[variant]])
            for variant in VARIANTS
        )
        answers = ReadAnswers([*self.desirable, *self.undesirable], base, tuned)
        found = judge_answers(answers, self.settings)
        return with_margin(result, found), {LINES: answer_lines(answers, self.settings)}


def evaluate_judged(inputs: EvaluationInputs) -> Evaluated:
    """Ask both models the prompts of desirable answers, and find out how far apart the two kinds have moved."""
    desirable, undesirable = (
        [row for row in inputs.split("test") if row.example.is_desirable is kind] for kind in (True, False)
    )
    if not desirable:
        raise DataError(
            "evaluate.no_test_rows",
            "No test row has a desirable answer to compare the models' own answers with. Evaluate more rows,"
            " or prepare again with a larger data.test_size.",
        )
    reading = UndesirableReading(desirable, undesirable, inputs.trained.recipe.preference)
    return evaluate(inputs, desirable, reading)


def work_of_judged(ahead: EvaluationAhead) -> Work:
    """Return the work of both models, as if every prompt were answered; they answer about as long as before."""
    return answers_work(ahead, keeps_lengths=True)


def judge_answers(answers: ReadAnswers, settings: PreferenceSettings) -> dict[str, Any]:
    """Return the figures of the margin and of both kinds of answers, with the verdict and its sentence."""
    rewards, is_desirable, clusters = answers.rewards(settings.beta), answers.is_desirable, answers.clusters()
    margin = margin_of_means(rewards, is_desirable, clusters)
    kinds = dict(zip(KINDS, (is_desirable, ~is_desirable), strict=True))
    figures = {
        "rows": {kind: int(is_of_kind.sum()) for kind, is_of_kind in kinds.items()},
        "margin": asdict(margin),
        "rewards": {kind: float(rewards[one].mean()) if one.any() else None for kind, one in kinds.items()},
        "bits_per_byte": {kind: _bits(answers, one, clusters) for kind, one in kinds.items() if one.any()},
    }
    word = _word(margin, len(np.unique(clusters)))
    return {"verdict": word, "sentence": _sentence(word, margin, figures["rows"]), "figures": figures}


def answer_lines(answers: ReadAnswers, settings: PreferenceSettings) -> list[dict[str, Any]]:
    """Return a line for each test row, in the order of the rows."""
    rewards = answers.rewards(settings.beta)
    lines = [
        {
            "row": row.example.row,
            "prompt": row.prompt,
            "answer": row.response,
            "label": row.example.is_desirable,
            "reward": float(rewards[place]),
            "base": float(answers.base[place]),
            "tuned": float(answers.tuned[place]),
        }
        for place, row in enumerate(answers.rows)
    ]
    return sorted(lines, key=lambda line: line["row"])


def with_margin(result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of KTO: the verdict on the margin decides, that on the answers stands beside it."""
    sentence, length = found["sentence"], result["length"]
    if length is not None:
        sentence += (
            f" The mean length of its own answers went from {length['base']:.1f} to {length['tuned']:.1f}"
            " tokens."
        )
    own = own_verdict(result, found["verdict"], sentence, references="desirable")
    return {**result, **own, "figures": found["figures"]}


def _bits(answers: ReadAnswers, is_of_kind: np.ndarray, clusters: np.ndarray) -> dict[str, float | None]:
    sizes = [len(row.response.encode()) + 1 for row in answers.rows]  # the end of turn counts as one byte
    base, tuned = (
        np.array([bits_per_byte(total, size) for total, size in zip(variant, sizes, strict=True)])[is_of_kind]
        for variant in (answers.base, answers.tuned)
    )
    found = asdict(paired_difference(base, tuned, clusters[is_of_kind]))
    return {name: found[name] for name in ("base", "tuned", "difference", "low", "high")}


def _word(margin: Margin, clusters: int) -> Word:
    """Judge by whether the interval of the margin leaves out 0."""
    if margin.low is None or margin.high is None or clusters < FEWEST_ROWS:
        return NO_VERDICT
    if margin.low <= 0 <= margin.high:
        return NO_DIFFERENCE
    return "better" if margin.low > 0 else "worse"


def _sentence(word: Word, margin: Margin, rows: Mapping[str, int]) -> str:
    if margin.mean is None:
        return f"No test row has an undesirable answer, so there is no margin: {word}."
    interval = "" if margin.low is None else f" (95 % interval {margin.low:+.2f} to {margin.high:+.2f})"
    return (
        f"On the test rows, the margin between the mean rewards of {rows['desirable']:,} desirable and"
        f" {rows['undesirable']:,} undesirable answers is {margin.mean:+.2f}{interval}; for the base model"
        f" it is 0: {word}."
    )


EVALUATION = EvaluationPart(evaluate_judged, work_of_judged, scored_answer_rows)
