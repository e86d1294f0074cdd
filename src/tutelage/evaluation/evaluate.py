"""Stage 3 as a whole: answers of base and tuned model, scores by row, paired differences and the verdict."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.data.dataset.model_files import refuse_other_model
from tutelage.data.dataset.preparation import read_prepared, refuse_unknown_ids
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.errors import DataError
from tutelage.evaluation.answers.answers_so_far import answer_rows, weights_of_folder
from tutelage.evaluation.answers.responses import Progress, Waiting, collect_responses, reference_log_probs
from tutelage.evaluation.eval_sets.named_sets import Answers, NamedSet, answer_set, judge_sets
from tutelage.evaluation.metrics.metrics import METRICS, PairedScores, score_rows
from tutelage.evaluation.paired.comparison import compare_scores
from tutelage.evaluation.preference import judge_preferences, pair_records, read_pairs
from tutelage.evaluation.regression.forgetting import (
    Reading,
    judge_forgetting,
    open_passages,
    open_prompts,
    passage_rows,
    read_general,
)
from tutelage.model.assembly import check_published, open_base, open_tuned
from tutelage.model.end_tokens import end_tokens
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact, write_artifact
from tutelage.run.evaluation import AnswerEvaluation
from tutelage.run.folder import ARMS, RunFolder, write_json_lines
from tutelage.system.runtime import choose_device, choose_dtype_to_open
from tutelage.system.storage import publish_folder, remove
from tutelage.tree.examples import Example, PreparedRow


def evaluate(
    run: RunFolder,
    recipe: Recipe,
    source: ModelSource,
    *,
    sets: Sequence[NamedSet],
    progress: Progress,
    waiting: Waiting,
) -> AnswerEvaluation:
    """Ask both models every test prompt and those of the named sets, score and compare; return what metrics.json says.

    `progress(label, total)` begins a bar and gives the function that advances it; `waiting(label)` names what has none.
    """
    rows = open_rows(run, recipe, source)
    device = choose_device(recipe.training.device)
    base = open_base(
        source,
        device,
        choose_dtype_to_open(trained_dtype(run, recipe), device),
        padded_because=read_artifact(TrainingResult, run.training).padded_because,
    )
    tokenizer = load_tokenizer(source.folder)
    ends = end_tokens(source.folder, tokenizer, read_artifact(Preparation, run.preparation).end_of_turn_id)
    records: dict[str, Answers] = {}
    set_answers: dict[str, dict[str, Answers]] = {}
    passages = open_passages(source.folder, recipe.data.prompt) if recipe.evaluation.forgetting else []
    prompts = open_prompts(source.folder) if passages else []
    readings: dict[str, Reading] = {}
    rejected: dict[str, list[float]] = {}  # of pairs, what each arm gives the second answers
    for arm in ARMS:
        # The base answers before the adapter is put on it, so that nothing of it can leak.
        if arm == "tuned":
            waiting("Loading the tuned model")
        model = base if arm == "base" else open_tuned(base, run.weights, recipe.adapter)
        told = partial(_of_arm, progress, arm)
        ask = partial(
            _ask,
            model=model,
            settings=recipe.evaluation,
            tokenizer=tokenizer,
            end_tokens=ends,
            progress=told,
        )
        asked_with = {
            "base": source.identity,
            "tuned": weights_of_folder(run.weights) if arm == "tuned" else None,
            "adapter": recipe.adapter.model_dump() if arm == "tuned" else None,
            "type": str(model.compute_dtype),
            "max_new_tokens": recipe.evaluation.max_new_tokens,
            "end_tokens": sorted(ends),
        }
        records[arm] = answer_rows(
            run, arm, rows, asked_with=asked_with, batch_size=recipe.evaluation.batch_size, ask=ask
        )
        set_answers[arm] = {
            one.name: answer_set(
                model,
                one,
                recipe.evaluation,
                tokenizer,
                end_tokens=ends,
                progress=partial(_of_set, told, one.name),
            )
            for one in sets
        }
        if rows.rejected is not None:
            advance = told("reads the rejected answers", len(rows))
            rejected[arm] = reference_log_probs(model, rows.rejected, progress=advance)
        if passages:
            readings[arm] = read_general(model, passages, prompts, progress=told)
    waiting("Scoring the answers")
    scores = score_rows(records["base"], records["tuned"])
    result = compare_scores(scores, METRICS[recipe.evaluation.primary_metric]).to_record()
    set_figures, set_rows = judge_sets(sets, set_answers)
    forgetting = None
    if passages:
        forgetting = judge_forgetting(
            passages,
            readings["base"],
            readings["tuned"],
            margin=recipe.evaluation.forgetting_margin,
            kl_margin=recipe.evaluation.forgetting_kl_margin,
        )
    checksums = "verified" if source.is_checked else "skipped"
    judged: dict[str, Any] = {"sets": set_figures, "forgetting": forgetting, "checksums": checksums}
    result = {**result, **judged}
    text_rows = passage_rows(passages, readings["base"], readings["tuned"]) if forgetting else []
    pair_rows: Answers = []
    if rejected:
        pairs = read_pairs(rows, records, rejected, dtype=base.compute_dtype)
        found = judge_preferences(pairs, recipe.preference, clusters=scores.clusters, length=result["length"])
        result = with_preference(result, found)
        pair_rows = pair_records(pairs, recipe.preference)
    evaluation = AnswerEvaluation.model_validate({"format": 1, **result})
    _write(run, records, scores, evaluation, set_rows=set_rows, text_rows=text_rows, pair_rows=pair_rows)
    remove(run.answers)
    return evaluation


def with_preference(result: dict[str, Any], preference: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a preference tuning: its own verdict decides, that on the answers stands beside it.

    Where the model's own answers got worse the sentence says so, for a preference that is learnt is no better answer.
    """
    decides = {name: preference.pop(name) for name in ("verdict", "sentence")}
    answers = {name: result[name] for name in decides}
    if answers["verdict"] == "worse":
        decides["sentence"] += f" But its own answers are worse beside the chosen ones: {answers['sentence']}"
    return {**result, "objective": "dpo", **decides, "answers": answers, "preference": preference}


def _of_arm(progress: Progress, arm: str, doing: str, total: int) -> Callable[[int], None]:
    return progress(f"{arm} model {doing}", total)


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


def trained_dtype(run: RunFolder, recipe: Recipe) -> str:
    """Return the type of the products in the recipe, or for `auto` the one that the training took."""
    if recipe.training.dtype != "auto":
        return recipe.training.dtype
    return read_artifact(TrainingResult, run.training).dtype


def open_rows(run: RunFolder, recipe: Recipe, source: ModelSource) -> PreparedRows:
    """Return the rows that a run is evaluated on; what speaks against it is said before the first long answer."""
    run.require(run.training, stage="train")
    refuse_other_model(run, source.identity, source.files)
    check_published(run.weights, recipe.adapter)
    rows = read_prepared(run, "test")
    if not rows:
        raise DataError(
            "evaluate.no_test_rows",
            f"{run.split('test')} holds no rows, so there is nothing to evaluate on. Begin again with test rows:"
            f" `tutelage prepare {run.root} --overwrite --set data.test_share=0.1`.",
        )
    return rows_to_evaluate(rows, recipe, source)


def rows_to_evaluate(rows: PreparedRows, recipe: Recipe, source: ModelSource) -> PreparedRows:
    """Return those test rows that are evaluated; DataError where the model cannot take one with its answer."""
    rows = rows[: recipe.evaluation.limit]
    refuse_unknown_ids(rows, vocabulary=vocabulary_size(source.folder))
    if recipe.training.objective != "classification":  # a label takes no room
        refuse_without_room(rows.example(int(rows.prompt_tokens.argmax())), recipe.evaluation, source)
    return rows


def refuse_without_room(longest: Example, settings: EvaluationSettings, source: ModelSource) -> None:
    """Stop where the longest prompt leaves less of the model's context than an answer may take."""
    context = context_length(source.folder)
    if longest.prompt_tokens + settings.max_new_tokens > context:
        raise DataError(
            "evaluate.prompt_too_long",
            f"Row {longest.row} has a prompt of {longest.prompt_tokens:,} tokens, and with"
            f" evaluation.max_new_tokens={settings.max_new_tokens} its answer could pass the model's context of"
            f" {context:,}. Lower evaluation.max_new_tokens.",
        )


def _write(
    run: RunFolder,
    records: dict[str, Answers],
    scores: PairedScores,
    evaluation: AnswerEvaluation,
    *,
    set_rows: dict[str, Answers],
    text_rows: Answers,
    pair_rows: Answers,
) -> None:
    def fill(staged: Path) -> None:
        for arm in ARMS:
            write_json_lines(staged / run.responses(arm).name, records[arm])
        write_json_lines(staged / run.scores.name, scores.to_records())
        for name, paired in set_rows.items():
            write_json_lines(staged / run.test_set(name).relative_to(run.evaluation), paired)
        if text_rows:
            write_json_lines(staged / run.passages.name, text_rows)
        if pair_rows:
            write_json_lines(staged / run.preferences.name, pair_rows)
        write_artifact(staged / run.metrics.name, evaluation)

    publish_folder(run.evaluation, fill)
