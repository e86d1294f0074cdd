"""Renders a run as one HTML file that needs nothing else: no script, no request, nothing from outside."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.evaluation.next_steps import NextStep
from tutelage.evaluation.paired.verdict import format_p
from tutelage.evaluation.stats.clusters import shared_frame
from tutelage.model.forward import MAX_NODES
from tutelage.report.baselines import baseline_table
from tutelage.report.charts import describe_lengths, length_chart
from tutelage.report.example import first_tree, shown_examples
from tutelage.report.fields import check_rows, field_rows
from tutelage.report.headline import headline, key_figures
from tutelage.report.judges import judge_sections, unscored_rows
from tutelage.report.numbers import (
    duration,
    in_words,
    number,
    percent,
    signed,
    significant,
    size,
)
from tutelage.report.objective import ANSWERS, ObjectiveWords, Section
from tutelage.report.overlap import overlap_of
from tutelage.report.passages import label_name, passage, visible
from tutelage.report.results import RunResults
from tutelage.report.run_facts import run_facts
from tutelage.report.scores import evaluate_answers
from tutelage.report.sets import set_rows
from tutelage.report.settings import settings_tables
from tutelage.report.training_charts import accuracy_chart, loss_chart
from tutelage.run.artifacts import KINDS, Environment, TrainingResult
from tutelage.run.events import MEAN_TOKEN_ACCURACY
from tutelage.run.folder import reading_faults
from tutelage.run.lines import parse_json_line
from tutelage.training.load import as_examples
from tutelage.tree.examples import Unit
from tutelage.tree.pieces import Decode

REASONS_SHOWN = 12
MOST_IN_MATRIX = 30  # labels of a confusion matrix

TRAINING_FIGURES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "steps": ("optimiser steps", number),
    "planned_steps": ("planned steps", number),
    "best_step": ("best step", number),
    "seconds": ("training time", duration),
    "examples_per_second": ("examples per second", significant),
    "computed_tokens": ("tokens computed", number),
    "distinct_tokens": ("distinct tokens", number),
    "supervised_tokens": ("supervised tokens", number),
    "peak_memory_bytes": ("peak memory", size),
    "dtype": ("dtype", str),
    "trainable_parameters": ("trainable parameters", number),
    # The rest is told where there is something to tell.
    "resumed": ("resumed after steps", in_words),
    "allowed_changes": ("allowed changes", in_words),
    "fallback_reason": ("fell back to padded rows, because", str),
    "checksums": ("base model checksums", str),
}


def render_report(
    results: RunResults,
    decode: Decode | None = None,
    recipe: Recipe | None = None,
    warnings: Sequence[str] = (),
    steps: Sequence[NextStep] = (),
    *,
    words: ObjectiveWords = ANSWERS,
    section: Section | None = None,
    units: Callable[[PreparedRows], Sequence[Unit]] = as_examples,
) -> str:
    """Return the text of report.html from the stages that have run, however far the last of them came.

    `decode` turns ids into text, special tokens too; with a recipe the first tree is drawn. `warnings` stand first, and
    `steps` are the commands that go on with the run. Of the objective are `words`, what it shows of its own evaluation,
    and the `units` that are drawn of its training rows.
    """
    content = {
        "warnings": warnings,
        "steps": steps,
        **_gather(results, decode, recipe, words=words, section=section, units=units),
    }
    return render("page.html", content, package=section.package if section else None)


def _gather(
    results: RunResults,
    decode: Decode | None,
    recipe: Recipe | None,
    *,
    words: ObjectiveWords,
    section: Section | None,
    units: Callable[[PreparedRows], Sequence[Unit]],
) -> dict[str, Any]:
    summary, preparation, events = results.summary, results.preparation, results.events
    train, history = results.train, results.history
    found, training = summary.evaluation, summary.training
    answers = None if found is None else found.compared_answers
    evaluation = evaluate_answers(
        answers, results.base, results.tuned, results.scores, unscored=unscored_rows(results.judgements)
    )
    return {
        "run_facts": run_facts(results.root, history, summary, preparation, words=words, recipe=recipe),
        "settings": settings_tables(recipe, history.origins) if recipe else None,
        "headline": section.headline
        if section
        else headline(
            preparation.rows,
            training,
            evaluation,
            step=_last_step(events),
            is_exploratory=answers is not None and answers.is_exploratory,
        ),
        "figures": [
            *(section.key_figures if section else ()),
            *key_figures(training, None if section else evaluation, loss_of=words.loss_of),
        ],
        "preparation": preparation,
        "first_metric": answers and answers.first_metric,
        "kind_of_answers": KINDS[preparation.task.kind] if preparation.task else None,
        "section": section,
        "evaluation": evaluation,
        "baselines": baseline_table(answers.baselines, evaluation.primary)
        if answers and evaluation
        else None,
        "against": answers.baselines.against if answers and answers.baselines else "",
        "overlap": overlap_of(answers),
        "json_checks": check_rows(answers.json_checks or {}) if answers else [],
        "json_fields": field_rows(answers.json_fields or {}) if answers else [],
        "labels": answers.labels if answers else None,
        "most_in_matrix": MOST_IN_MATRIX,
        "judges": judge_sections(results.judges.judges if results.judges else {}, results.judgements),
        "sets": set_rows(found.sets if found else {}, summary.judges.judges if summary.judges else {}),
        "general_text": found.general_text if found else None,
        "training": _training(training, events, words, checkpoints=results.checkpoints),
        "samples": _samples(events),
        "data": _data(results.ledger, train, words),
        "objective": words,
        "examples": shown_examples(train, decode),
        "tree": first_tree(
            units(train),
            recipe.training,
            decode,
            rows=train,
            answers=[*train.answers],
            max_nodes=training.max_nodes if training else MAX_NODES,
        )
        if recipe and decode
        else None,
        "has_tokens": decode is not None,
        "recipe": results.recipe,
        "environment": _environment(results.environment),
    }


def render(template: str, content: Mapping[str, Any], *, package: str | None = None) -> str:
    """Return a page in the common dress, every text of it escaped; "objective/" stands for a `package`."""
    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("tutelage.report", ".")]
    if package is not None:
        loaders.append(jinja2.PrefixLoader({"objective": jinja2.PackageLoader(package, ".")}))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "visible": visible,
        "label_name": label_name,
        "passage": passage,
        "number": number,
        "percent": percent,
        "significant": significant,
        "in_words": in_words,
        "p_text": format_p,
        "signed": signed,
    }
    style = resources.files("tutelage.report").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **content)


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of events.jsonl; what follows the last of them was cut off when a training ended."""
    if not path.exists():
        return []
    with reading_faults(path):
        whole = path.read_bytes().rpartition(b"\n")[0]
    return [parse_json_line(path, line) for line in whole.split(b"\n") if line]


def _environment(environment: Environment | None) -> dict[str, Any]:
    found = environment.to_record() if environment else {}
    return {name: value for name, value in found.items() if name != "format"}


def _last_step(events: Sequence[Mapping[str, Any]]) -> int | None:
    """Return how far a training came; None where none has begun."""
    return max((event["step"] for event in events if "step" in event), default=None)


def _training(
    training: TrainingResult | None,
    events: Sequence[Mapping[str, Any]],
    words: ObjectiveWords,
    *,
    checkpoints: Sequence[int],
) -> dict[str, Any] | None:
    validations = [event for event in events if event["event"] == "validation"]
    best_step = training.best_step if training else _best_saved(validations, checkpoints)
    chart = loss_chart(events, words.loss_axis, best_step=best_step)
    if training is None and chart is None:
        return None
    figures = training.to_record() if training else {}
    return {
        "chart": chart,
        "accuracy": accuracy_chart(events, best_step=best_step),
        "figures": {
            label: write(figures[key])
            for key, (label, write) in TRAINING_FIGURES.items()
            if figures.get(key) not in (None, [])
        },
        "validations": validations,
        "has_accuracies": any(MEAN_TOKEN_ACCURACY in event for event in validations),
    }


def _best_saved(validations: Sequence[Mapping[str, Any]], checkpoints: Sequence[int]) -> int | None:
    """Return the saved step with the lowest validation loss of a training that is not finished; None without one."""
    saved = [event for event in validations if event["step"] in checkpoints]
    return min(saved, key=lambda event: event["loss"])["step"] if saved else None


def _samples(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Group the sample answers by row, and join steps in sequence that gave the same answer."""
    samples = [event for event in events if event["event"] == "sample"]
    opening, ending = shared_frame([sample["prompt"] for sample in samples])
    by_row: dict[int, dict[str, Any]] = {}
    for sample in samples:
        prompt = sample["prompt"].removeprefix(opening).removesuffix(ending)
        group = by_row.setdefault(
            sample["row"],
            {"row": sample["row"], "prompt": prompt, "reference": sample["reference"], "answers": []},
        )
        _append_answer(group["answers"], sample)
    return list(by_row.values())


def _append_answer(answers: list[dict[str, Any]], event: Mapping[str, Any]) -> None:
    if answers and answers[-1]["text"] == event["response"]:
        answers[-1]["last"] = event["step"]
    else:
        answers.append({"first": event["step"], "last": event["step"], "text": event["response"]})


def _data(ledger: Sequence[Mapping[str, Any]], train: PreparedRows, words: ObjectiveWords) -> dict[str, Any]:
    counted = Counter(
        (entry["outcome"], reason["message"]) for entry in ledger for reason in entry["reasons"]
    )
    lengths = [length for one in train.answers.values() for length in one.lengths.tolist()]
    return {
        "reasons": [
            (*kind, count, _first_rows(ledger, *kind)) for kind, count in counted.most_common(REASONS_SHOWN)
        ],
        "more_reasons": max(0, len(counted) - REASONS_SHOWN),
        "lengths": length_chart(lengths, axis=words.lengths, counted=words.counted),
        "lengths_in_words": describe_lengths(lengths, words.counted) if lengths else "",
    }


def _first_rows(ledger: Sequence[Mapping[str, Any]], outcome: str, reason: str) -> str:
    rows = [
        entry["row"]
        for entry in ledger
        if entry["outcome"] == outcome and any(given["message"] == reason for given in entry["reasons"])
    ]
    return ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
