"""Named test sets beside the test rows: read, kept apart from training, answered by both models."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.codes import Message
from tutelage.config.built_in_data import default_settings
from tutelage.config.recipe import DataSettings, Recipe
from tutelage.config.recipe_evaluation import EvalSetSettings, EvaluationSettings
from tutelage.data.dataset.preparation import sizes_of
from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts.encoding import naming_row_of_surrogate
from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.data.quality.checks import check_rows
from tutelage.data.quality.repairs import repair_text
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.records import Record
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError
from tutelage.evaluation.answers.responses import Progress, collect_responses, reference_log_probs
from tutelage.evaluation.eval_sets.leak_check import TrainedPrompts
from tutelage.evaluation.metrics import load_set_metric
from tutelage.evaluation.metrics.set_metrics import score_answer
from tutelage.evaluation.paired.comparison import figures_of
from tutelage.evaluation.paired.verdict import verdict
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.evaluation.stats.holm import holm
from tutelage.evaluation.stats.statistics import paired_difference, resample
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_tokenizer
from tutelage.run.folder import VARIANTS
from tutelage.tree.examples import PreparedRow

ROWS_NAMED = 5
# How a named set is read: by settings of its own, and by those of the data.
OWN = ("source", "sha256", "format", "column_map")
INHERITED = (
    "prompt_template",
    "hub_split",
    "encoding",
    "coerce",
    "max_file_bytes",
    "max_row_bytes",
    "label_separator",
)
Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class EvalSet:
    """One named set as both models are asked it; `choices` are, for each row, the choices as rows of their own.

    `prepared` is what its metric read for all of its rows before anything was asked.
    """

    name: str
    settings: EvalSetSettings
    rows: Sequence[PreparedRow]
    dropped: int
    prepared: Any
    choices: Sequence[Sequence[PreparedRow]] | None
    notes: Sequence[Message] = ()  # what has to be said of how its rows were read


def load_eval_sets(
    recipe: Recipe, folder: Path, *, training: Sequence[PreparedRow], cache: Path
) -> list[EvalSet]:
    """Read and render every set of a recipe; DataError where one cannot be scored or repeats a training prompt.

    `folder` is that of the model, whose tokenizer renders the rows.
    """
    if not recipe.evaluation.sets:
        return []
    renderer = make_renderer(load_tokenizer(folder), recipe.data.prompt_template)
    trained = TrainedPrompts(training, renderer.tokenizer)
    opened = [
        _open(name, settings, recipe, renderer, cache) for name, settings in recipe.evaluation.sets.items()
    ]
    for one in opened:
        _check_eval_set_leaks(one, trained)
    return opened


def _open(
    name: str, settings: EvalSetSettings, recipe: Recipe, renderer: PromptRenderer, cache: Path
) -> EvalSet:
    own = {name: value for name in OWN if (value := getattr(settings, name))}
    inherited = {name: getattr(recipe.data, name) for name in INHERITED}
    reading = DataSettings(**{**default_settings(settings.source), **inherited, **own})
    try:
        source = read_source(settings.source, cache=cache, settings=reading)
        read = read_conversations(source.records, source=source.name, settings=reading)
    except DataError as fault:
        raise DataError(fault.code, f"The test set {name}: {fault}", row=fault.row) from fault
    checked = check_rows(read.rows, reading, sizes_of(source))
    usable = [row.row for row in checked if row.outcome != "dropped"]
    kept = usable[: recipe.evaluation.limit]
    if not kept:
        raise DataError(
            "evaluate.set_without_rows",
            f"The test set {name} ({source.name}) has no usable row. Check its rows with `tutelage check`.",
        )
    metric = load_set_metric(settings.metric)
    files = {record.row: record.file for record in source.records}
    with naming_row_of_surrogate(lambda row: f"The test set {name}, {files.get(row) or source.name}"):
        return EvalSet(
            name,
            settings,
            [row for _, row in renderer.rows(kept, train_on=reading.train_on)],
            len(checked) - len(usable),
            metric.prepare(settings, ((row.row, row.response) for row in usable), name),
            _choices(name, settings, kept, source.records, renderer) if metric.weighs_choices else None,
            (*source.notes, *read.notes),
        )


def _choices(
    name: str,
    settings: EvalSetSettings,
    rows: Sequence[Conversation],
    records: Sequence[Record],
    renderer: PromptRenderer,
) -> list[list[PreparedRow]]:
    """Render each row with each of its choices as the answer."""
    values = {record.row: record.value for record in records}
    found = []
    for row in rows:
        given = (
            settings.choices if isinstance(settings.choices, list) else values[row.row].get(settings.choices)
        )
        if not isinstance(given, list) or len(given) < 2 or not all(isinstance(one, str) for one in given):
            raise DataError(
                "evaluate.choices_missing",
                f"Row {row.row} of the test set {name} has no list of at least two texts under"
                f" {settings.choices!r}, where evaluation.sets.{name}.choices looks for its choices.",
            )
        given = [repair_text(choice)[0] for choice in given]  # as the answer was, which is one of them
        if row.response not in given:
            raise DataError(
                "evaluate.reference_not_a_choice",
                f"Row {row.row} of the test set {name} has the answer {row.response[:60]!r}, which is not"
                " one of its choices. Write the right choice exactly as in the list.",
            )
        asked = [replace(row, messages=(*row.context, ChatMessage("assistant", choice))) for choice in given]
        found.append([choice for _, choice in renderer.rows(asked, train_on="last")])
    return found


def _check_eval_set_leaks(one: EvalSet, trained: TrainedPrompts) -> None:
    leaked = [row.example.row for row in one.rows if row.prompt in trained]
    if leaked:
        named = ", ".join(map(str, leaked[:ROWS_NAMED])) + (", …" if len(leaked) > ROWS_NAMED else "")
        raise DataError(
            "evaluate.set_leaks",
            f"{len(leaked)} of the {len(one.rows)} rows of the test set {one.name} have a prompt that is"
            f" trained on (rows {named}). Remove them from evaluation.sets.{one.name}.source, or from the"
            " training data.",
            row=leaked[0],
        )


def answer_set(
    model: CausalModel,
    one: EvalSet,
    settings: EvaluationSettings,
    tokenizer: Any,
    *,
    end_tokens: Collection[int],
    progress: Progress,
) -> Answers:
    """Return a record a row: what a model answers, or which of the row's choices it finds likeliest."""
    if one.choices is None:
        return collect_responses(
            model, one.rows, settings, tokenizer, end_tokens=end_tokens, progress=progress
        )
    # All choices at once: those of one row share its prompt in the tree.
    flat = [choice for choices in one.choices for choice in choices]
    likely = iter(reference_log_probs(model, flat, progress=progress("scores the choices", len(flat))))
    answers = []
    for row, choices in zip(one.rows, one.choices, strict=True):
        log_probs = {choice.response: next(likely) for choice in choices}
        answers.append(
            {
                "row": row.example.row,
                "prompt": row.prompt,
                "reference": row.response,
                "response": max(log_probs, key=lambda choice: log_probs[choice]),
                "choice_log_probs": log_probs,
            }
        )
    return answers


def judge_sets(
    sets: Sequence[EvalSet], answers: dict[str, dict[str, Answers]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Answers]]:
    """Return what metrics.json says of each set, and the rows that are written for it; `answers` are by arm and set.

    A set that judges score has no figures yet, and its rows no scores.
    """
    figures, rows = {}, {}
    for one in sets:
        base, tuned = (answers[variant][one.name] for variant in VARIANTS)
        if load_set_metric(one.settings.metric).is_judged:
            figures[one.name], rows[one.name] = _described(one), _paired_rows(base, tuned)
            continue
        scored = [
            np.array([score_answer(answer, one.settings, one.prepared) for answer in given])
            for given in (base, tuned)
        ]
        figures[one.name] = _judge(one, *scored)
        rows[one.name] = _paired_rows(base, tuned, scored)
    raised = holm({name: found["p"] for name, found in figures.items() if found.get("p") is not None})
    for name, found in figures.items():
        if "p" in found:
            found["p_holm"] = raised.get(name)
    return figures, rows


def _described(one: EvalSet) -> dict[str, Any]:
    return {
        "source": one.settings.source,
        "metric": one.settings.metric,
        "rows": len(one.rows),
        "dropped": one.dropped,
        **load_set_metric(one.settings.metric).described(one.prepared),
    }


def _judge(one: EvalSet, base: np.ndarray, tuned: np.ndarray) -> dict[str, Any]:
    metric = load_set_metric(one.settings.metric)
    clusters = cluster_rows([row.prompt for row in one.rows])
    measured, bootstrap = paired_difference(base, tuned, clusters), resample(base, tuned, clusters)
    judged = verdict(measured, metric, bootstrap)
    return {
        **_described(one),
        "clusters": measured.clusters,
        "verdict": judged.word,
        "sentence": judged.sentence,
        **figures_of(measured, bootstrap),
    }


def _paired_rows(base: Answers, tuned: Answers, scored: Sequence[np.ndarray] = ()) -> Answers:
    """Join both models' answers to each row; `scored` are their scores, (rows,) each, where there are some."""
    shared = ("row", "prompt", "reference")
    paired = []
    for index, answers in enumerate(zip(base, tuned, strict=True)):
        row = {key: answers[0][key] for key in shared}
        for variant, (name, answer) in enumerate(zip(VARIANTS, answers, strict=True)):
            score = {"score": float(scored[variant][index])} if scored else {}
            row[name] = score | {key: value for key, value in answer.items() if key not in shared}
        paired.append(row)
    return paired
