"""Stage 3 as a whole: answers of base and tuned model, scores by row, paired differences and the verdict."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from tutelage.data.examples import PreparedRow
from tutelage.data.preparation import read_prepared, refuse_other_weights, refuse_unknown_ids
from tutelage.errors import DataError
from tutelage.evaluation.answers_so_far import answer_rows, weights_of_folder
from tutelage.evaluation.metrics import METRICS, PairedScores, score_rows
from tutelage.evaluation.responses import Progress, collect_responses
from tutelage.evaluation.statistics import PairedDifference, paired_difference
from tutelage.evaluation.verdict import verdict
from tutelage.model.assembly import check_tuned, open_base, open_tuned
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.recipe import EvaluationSettings, Recipe
from tutelage.run_folder import ARMS, RunFolder, read_json, write_json, write_json_lines
from tutelage.runtime import choose_device, choose_dtype
from tutelage.storage import remove, staged_folder


def evaluate(run: RunFolder, recipe: Recipe, source: ModelSource, *, progress: Progress) -> dict[str, Any]:
    """Ask both models every test prompt, score and compare; return what metrics.json says.

    `progress(label, total)` begins a bar and gives the function that advances it.
    """
    rows = open_rows(run, recipe, source)
    device = choose_device(recipe.training.device)
    base = open_base(
        source,
        device,
        choose_dtype(trained_dtype(run, recipe), device),
        padded_because=read_json(run.training)["padded_because"],
    )
    tokenizer = load_tokenizer(source.folder)
    end_of_turn = read_json(run.preparation)["end_of_turn_id"]
    records: dict[str, list[dict[str, Any]]] = {}
    for arm in ARMS:
        # The base answers before the adapter is put on it, so that nothing of it can leak.
        model = base if arm == "base" else open_tuned(base, run.model, recipe.adapter)
        ask = partial(
            _ask,
            model=model,
            settings=recipe.evaluation,
            tokenizer=tokenizer,
            end_of_turn=end_of_turn,
            progress=partial(_of_arm, progress, arm),
        )
        asked_with = {
            "base": source.identity,
            "tuned": weights_of_folder(run.model) if arm == "tuned" else None,
            "adapter": recipe.adapter.model_dump() if arm == "tuned" else None,
            "type": str(model.compute_dtype),
            "max_new_tokens": recipe.evaluation.max_new_tokens,
        }
        records[arm] = answer_rows(
            run, arm, rows, asked_with=asked_with, batch_size=recipe.evaluation.batch_size, ask=ask
        )
    scores = score_rows(records["base"], records["tuned"])
    result = compare(scores, recipe.evaluation)
    _write(run, records, scores, result)
    remove(run.answers)
    return result


def _of_arm(progress: Progress, arm: str, doing: str, total: int) -> Callable[[int], None]:
    return progress(f"{arm} model {doing}", total)


def _ask(
    rows: Sequence[PreparedRow],
    part: str,
    *,
    model: CausalModel,
    settings: EvaluationSettings,
    tokenizer: Any,
    end_of_turn: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    def of_part(doing: str, total: int) -> Callable[[int], None]:
        return progress(f"{doing}{part}", total)

    return collect_responses(model, rows, settings, tokenizer, end_of_turn=end_of_turn, progress=of_part)


def trained_dtype(run: RunFolder, recipe: Recipe) -> str:
    """Return the type of the products in the recipe, or for `auto` the one that the training took."""
    return recipe.training.dtype if recipe.training.dtype != "auto" else read_json(run.training)["dtype"]


def open_rows(run: RunFolder, recipe: Recipe, source: ModelSource) -> Sequence[PreparedRow]:
    """Return the rows that a run is evaluated on; what speaks against it is said before the first long answer."""
    run.require(run.training, stage="train")
    refuse_other_weights(run, source.identity)
    check_tuned(run.model, recipe.adapter)
    rows = read_prepared(run, "test")
    if not rows:
        raise DataError(
            f"{run.split('test')} holds no rows, so there is nothing to evaluate on. Begin again with test rows:"
            f" `tutelage prepare {run.root} --overwrite --set data.test_share=0.1`."
        )
    return rows_to_evaluate(rows, recipe.evaluation, source)


def rows_to_evaluate(
    rows: Sequence[PreparedRow], settings: EvaluationSettings, source: ModelSource
) -> Sequence[PreparedRow]:
    """Return those test rows that are evaluated; DataError where the model cannot take one with its answer."""
    rows = rows[: settings.limit]
    refuse_unknown_ids(rows, vocabulary=vocabulary_size(source.folder))
    context = context_length(source.folder)
    longest = max(rows, key=lambda row: row.example.prompt_tokens).example
    if longest.prompt_tokens + settings.max_new_tokens > context:
        raise DataError(
            f"Row {longest.row} has a prompt of {longest.prompt_tokens:,} tokens, and with"
            f" evaluation.max_new_tokens={settings.max_new_tokens} its answer could pass the model's context of"
            f" {context:,}. Lower evaluation.max_new_tokens."
        )
    return rows


def compare(scores: PairedScores, settings: EvaluationSettings) -> dict[str, Any]:
    """Return the paired difference of every metric and the verdict on the primary one."""
    differences = {name: paired_difference(scores.base[name], scores.tuned[name]) for name in METRICS}
    primary = differences[settings.primary_metric]
    judged = verdict(primary, METRICS[settings.primary_metric])
    return {
        "rows": len(scores.rows),
        "primary_metric": settings.primary_metric,
        "verdict": judged.word,
        "sentence": judged.sentence,
        "smallest_detectable": primary.smallest_detectable,
        "metrics": {name: _summarised(difference) for name, difference in differences.items()},
    }


def _summarised(difference: PairedDifference) -> dict[str, Any]:
    return {name: value for name, value in asdict(difference).items() if name != "n"}


def _write(
    run: RunFolder, records: dict[str, list[dict[str, Any]]], scores: PairedScores, result: dict[str, Any]
) -> None:
    by_row = [
        {
            "row": row,
            **{
                arm: {name: float(values[name][index]) for name in METRICS}
                for arm, values in (("base", scores.base), ("tuned", scores.tuned))
            },
        }
        for index, row in enumerate(scores.rows)
    ]
    with staged_folder(run.evaluation) as staged:
        for arm in ARMS:
            write_json_lines(staged / run.responses(arm).name, records[arm])
        write_json_lines(staged / run.scores.name, by_row)
        write_json(staged / run.metrics.name, result)
