"""Stage 3 as a whole: answers of base and tuned model, scores by row, paired differences and the verdict."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.evaluation.answers.answers_so_far import answer_rows, weights_of_folder
from tutelage.evaluation.answers.responses import Progress, Waiting, collect_answers, collect_responses
from tutelage.evaluation.baselines.comparison import (
    baseline_lines,
    compare_with_baselines,
    scores_of_strongest,
)
from tutelage.evaluation.baselines.strongest import Baselines, find_baselines
from tutelage.evaluation.eval_sets.sets import Answers, EvalSet, answer_set, judge_sets
from tutelage.evaluation.metrics import load_metrics
from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS_PER_BYTE
from tutelage.evaluation.metrics.metric import AnswerMetric
from tutelage.evaluation.metrics.metrics import OwnMetric, score_rows
from tutelage.evaluation.paired.comparison import compare_scores
from tutelage.evaluation.paired.training_overlap import near_duplicates_of_training, training_overlap
from tutelage.evaluation.regression.general_text_check import (
    Passage,
    Reading,
    compare_general_text,
    passage_rows,
    read_general,
    read_general_prompts,
    read_passages,
)
from tutelage.evaluation.task.choice import deciding_metrics
from tutelage.evaluation.task.figures import figures_of_kind
from tutelage.model.end_tokens import end_tokens
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import AnswerEvaluation, Evaluation
from tutelage.run.folder import BASELINE_ANSWERS, PASSAGES, SCORES, VARIANTS, responses_name, set_name
from tutelage.tree.examples import PreparedRow

PROMPTS_FOR_ONE = 4  # a prompt with examples of its own takes about the memory of so many plain ones


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found, and the lines that it is made of by the names of their files."""

    evaluation: Evaluation
    files: Mapping[str, Answers]


class SecondaryReading(Protocol):
    """What an objective reads with both models beside their answers, and what it makes of that in the end."""

    def read(self, variant: str, model: CausalModel, told: Progress) -> None:
        """Let a model read; `told(doing, total)` begins a bar."""
        ...

    def judge(
        self, result: dict[str, Any], records: Mapping[str, Answers], clusters: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Answers]]:
        """Return the figures of the evaluation with its own among them, and the lines of its files by their names."""
        ...


@dataclass(frozen=True)
class EvaluationInputs:
    """A trained model, the rows of its splits by their names, and what is asked beside the test rows.

    `own` are metrics of the user's. Answers are kept in the folder `kept` while others are still asked.
    `progress(label, total)` begins a bar and gives the function that advances it; `waiting(label)` names what has none.
    """

    trained: TrainedModel
    split: Callable[[str], PreparedRows]
    sets: Sequence[EvalSet]
    own: Sequence[OwnMetric]
    kept: Path
    progress: Progress
    waiting: Waiting


@dataclass
class _Collected:
    """What both models wrote and read; each mapping is by "base" and "tuned"."""

    records: dict[str, Answers] = field(default_factory=dict)
    set_answers: dict[str, dict[str, Answers]] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    baselines: Baselines | None = None


def evaluate(
    inputs: EvaluationInputs, rows: Sequence[PreparedRow], further: SecondaryReading | None = None
) -> Evaluated:
    """Ask both models every prompt of the rows and those of the named sets, score and compare."""
    own = inputs.own
    recipe, source = inputs.trained.recipe, inputs.trained.source
    # All are loaded, so that one at fault is found before the first answer.
    primary, optional = deciding_metrics(recipe.evaluation.primary_metric, inputs.trained.preparation.task)
    metrics = load_metrics(optional)
    passages = (
        read_passages(source.folder, recipe.data.prompt_template, recipe.evaluation.limit)
        if recipe.evaluation.general_text
        else []
    )
    collected = _collect(inputs, rows, further, metric=metrics[primary], passages=passages)
    records, baselines = collected.records, collected.baselines
    inputs.waiting("Scoring the answers")
    scores = score_rows(records["base"], records["tuned"], own, optional=optional)
    result = compare_scores(scores, metrics[primary]).to_record()
    files = {responses_name(variant): records[variant] for variant in VARIANTS} | {
        SCORES: scores.to_records()
    }
    if baselines is not None:
        result |= compare_with_baselines(baselines, scores, metrics[primary])
        files[BASELINE_ANSWERS] = baseline_lines(baselines, metrics[primary])
    training = inputs.split("train")
    result["training_overlap"] = training_overlap(
        scores,
        metrics[primary],
        near_duplicates_of_training(rows, training),
        training_rows=len(training),
        baseline=scores_of_strongest(baselines, scores, metrics[primary]) if baselines else None,
    )
    result |= figures_of_kind(
        records["base"],
        records["tuned"],
        # A preferred answer is not the only right one, so that it is no label.
        task=inputs.trained.preparation.task if further is None else None,
        optional=optional,
        training=training,
    )
    set_figures, set_rows = judge_sets(inputs.sets, collected.set_answers)
    files |= {set_name(name): paired for name, paired in set_rows.items()}
    general_text = None
    if passages:
        base, tuned = (collected.readings[variant] for variant in VARIANTS)
        general_text = compare_general_text(
            passages,
            base,
            tuned,
            margin=recipe.evaluation.general_text_margin,
            kl_margin=recipe.evaluation.general_text_kl_margin,
        )
        files[PASSAGES] = passage_rows(passages, base, tuned)
    checksums = "verified" if source.is_checked else "skipped"
    judged: dict[str, Any] = {"sets": set_figures, "general_text": general_text, "checksums": checksums}
    if own:
        judged["functions"] = {one.name: one.source for one in own}
    result = {**result, **judged, "objective": recipe.objective.name}
    if further is not None:
        result, further_files = further.judge(result, records, scores.clusters)
        files |= further_files
    return Evaluated(AnswerEvaluation.model_validate({"format": 2, **result}), files)


def _collect(
    inputs: EvaluationInputs,
    rows: Sequence[PreparedRow],
    further: SecondaryReading | None,
    *,
    metric: AnswerMetric,
    passages: Sequence[Passage],
) -> _Collected:
    """Let both models answer and read; `metric` chooses among the baselines."""
    trained, source = inputs.trained, inputs.trained.source
    recipe, settings = trained.recipe, trained.recipe.evaluation
    base = trained.load_base()
    tokenizer = load_tokenizer(source.folder)
    ends = end_tokens(source.folder, tokenizer, trained.preparation.end_of_turn_id)
    prompts = read_general_prompts(source.folder, settings.limit) if passages else []
    collected = _Collected()
    for variant in VARIANTS:
        # The base answers before the adapter is put on it, so that nothing of it can leak.
        if variant == "tuned":
            inputs.waiting("Loading the fine-tuned model")
        model = base if variant == "base" else trained.load_tuned(base)
        told = partial(_of_variant, inputs.progress, variant)
        ask = partial(
            _ask,
            model=model,
            settings=settings,
            tokenizer=tokenizer,
            end_tokens=ends,
            progress=told,
        )
        asked_with = {
            "base": source.start_fingerprint,
            "tuned": weights_of_folder(trained.weights) if variant == "tuned" else None,
            "method": recipe.training.method if variant == "tuned" else None,
            "adapter": recipe.adapter.model_dump() if variant == "tuned" else None,
            "type": str(model.compute_dtype),
            "max_new_tokens": settings.max_new_tokens,
            "end_tokens": sorted(ends),
        }
        answers = answer_rows(
            inputs.kept,
            variant,
            rows,
            asked_with=asked_with,
            batch_size=settings.batch_size,
            ask=ask,
        )
        collected.records[variant] = answers
        if variant == "base" and further is None:
            collected.baselines = _baselines(
                inputs,
                rows,
                base_answers=answers,
                model=model,
                tokenizer=tokenizer,
                metric=metric,
                asked_with=asked_with,
            )
        collected.set_answers[variant] = {
            one.name: answer_set(
                model,
                one,
                settings,
                tokenizer,
                end_tokens=ends,
                progress=partial(_of_set, told, one.name),
            )
            for one in inputs.sets
        }
        if further is not None:
            further.read(variant, model, told)
        if passages:
            collected.readings[variant] = read_general(model, passages, prompts, progress=told)
    return collected


def _baselines(
    inputs: EvaluationInputs,
    rows: Sequence[PreparedRow],
    *,
    base_answers: Answers,
    model: CausalModel,
    tokenizer: Any,
    metric: AnswerMetric,
    asked_with: Mapping[str, Any],
) -> Baselines | None:
    """Let the baselines of the recipe answer; None where there are none, or the metric needs probabilities."""
    trained = inputs.trained
    recipe, folder = trained.recipe, trained.source.folder
    settings = recipe.evaluation
    if not settings.baselines or metric.name == BITS_PER_BYTE.name:
        return None

    def ask(
        name: str, label: str, prompted: Sequence[PreparedRow], end_of_turn: int, shared: bool
    ) -> list[dict[str, Any]]:
        ends = end_tokens(folder, tokenizer, end_of_turn)
        # What prompts do not share is kept for each of them, and examples make them several times as long.
        size = settings.batch_size if shared else max(1, settings.batch_size // PROMPTS_FOR_ONE)

        def answer(part: Sequence[PreparedRow], named: str) -> list[dict[str, Any]]:
            return collect_answers(
                model,
                part,
                settings.model_copy(update={"batch_size": size}),
                tokenizer,
                end_tokens=ends,
                progress=inputs.progress(f"base model answers {label}{named}", len(part)),
            )

        return answer_rows(
            inputs.kept,
            name,
            prompted,
            asked_with={**asked_with, "end_tokens": sorted(ends)},
            batch_size=settings.batch_size,
            ask=answer,
        )

    return find_baselines(
        recipe,
        training=inputs.split("train"),
        validation=inputs.split("validation"),
        test=rows,
        base_answers=base_answers,
        tokenizer=tokenizer,
        metric=metric,
        room=context_length(folder) - settings.max_new_tokens,
        ask=ask,
    )


def own_verdict(result: Mapping[str, Any], verdict: str, sentence: str, *, references: str) -> dict[str, Any]:
    """Return an objective's own verdict, with that on the answers beside it.

    Where the model's own answers got worse beside the references the sentence says so, for a preference that is learnt
    is no better answer.
    """
    answers = {name: result[name] for name in ("verdict", "sentence")}
    if answers["verdict"] == "worse":
        sentence += f" But its own answers are worse beside the {references} ones: {answers['sentence']}"
    return {"verdict": verdict, "sentence": sentence, "answers": answers}


def _of_variant(progress: Progress, variant: str, doing: str, total: int) -> Callable[[int], None]:
    return progress(f"{variant} model {doing}", total)


def _of_set(told: Progress, name: str, doing: str, total: int) -> Callable[[int], None]:
    return told(f"{doing} of {name}", total)


def _ask(
    rows: Sequence[PreparedRow],
    part: str,
    *,
    model: CausalModel,
    settings: EvaluationSettings,
    tokenizer: Any,
    end_tokens: Collection[int],
    progress: Progress,
) -> list[dict[str, Any]]:
    def of_part(doing: str, total: int) -> Callable[[int], None]:
        return progress(f"{doing}{part}", total)

    return collect_responses(model, rows, settings, tokenizer, end_tokens=end_tokens, progress=of_part)
