"""A run folder as three finished stages leave it, made by code; tasks, answers and curves are invented."""

import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from support.fake_examples import END, encode, self_instruct_rows
from support.rows import write_split

from tutelage.codes import Message
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import score_rows
from tutelage.evaluation.paired.comparison import compare_scores
from tutelage.run.artifacts import Environment, Preparation, TrainingResult, write_artifact
from tutelage.run.evaluation import AnswerEvaluation
from tutelage.run.folder import RunFolder, write_json, write_json_lines, write_text
from tutelage.run.lines import read_json_lines
from tutelage.stages.report import summarise
from tutelage.tree.examples import Example, PreparedRow

RECIPE = """\
[data]
source = "starter"
prompt_template = "alpaca"
split = "group"

[model]
name_or_path = "smollm2-135m-instruct"

[adapter]
r = 16
target_modules = "all-linear"

[training]
method = "lora"
learning_rate = 0.0005
num_train_epochs = 2

[evaluation]
primary_metric = "chrf"
max_new_tokens = 128
"""
GENERAL_TEXT_FIGURES = {
    "verdict": "pass",
    "sentence": "No regression on general text: from 1.100 to 1.120 bits per byte.",
    "margin": 0.1,
    "passages": 112,
    "bytes": 60_358,
    "base": 1.1,
    "tuned": 1.12,
    "difference": 0.02,
    "low": 0.015,
    "high": 0.025,
    "prompts": 200,
    "kl_margin": 0.5,
    "kl_verdict": "pass",
    "kl_sentence": (
        "On 200 general prompts, its predictions stay within 0.080 nats per token of the base model; the"
        " margin is 0.5."
    ),
    "kl": 0.08,
    "kl_low": 0.06,
    "kl_high": 0.1,
    "kinds": {"prose": {"base": 1.2, "tuned": 1.21}, "code": {"base": 1.0, "tuned": 1.03}},
}


def make_run(root: Path, *, until: str = "evaluate", test_rows: int = 100) -> RunFolder:
    """Write the files of the stages up to `until`: "prepare", "tune" or "evaluate"."""
    run = RunFolder(root)
    chance = random.Random(7)
    examples = [self_instruct_rows(row, chance) for row in range(900 + test_rows + 60)]
    parts = {
        "train": examples[:900],
        "test": examples[900 : 900 + test_rows],
        "validation": examples[900 + test_rows :],
    }
    prepare(run, parts)
    if until != "prepare":
        tune(run, parts["validation"])
    if until == "evaluate":
        evaluate(run, parts["test"], chance)
    write_json(run.summary, summarise(run).to_record())
    return run


def prepare(run: RunFolder, parts: dict[str, list[dict[str, Any]]]) -> None:
    """Write what `prepare` writes."""
    write_text(run.recipe, RECIPE)
    write_artifact(
        run.environment,
        Environment.model_validate(
            {
                "tutelage": "0.1.0",
                "python": "3.11.9",
                "torch": "2.11.0",
                "transformers": "5.23.0",
                "peft": "0.21.0",
                "tokenizers": "0.23.0",
                "numpy": "2.1.0",
                "platform": "Linux",
                "processor": "x86-64, AVX2",
                "cores": 4,
                "threads": 4,
                "device": "cpu",
                "dtype": "float32",
            }
        ),
    )
    for split, examples in parts.items():
        write_split(run.data, split, list(map(prepared_row, examples)))
    last = sum(len(examples) for examples in parts.values())
    write_json_lines(run.ledger, [*_kept(parts), *_dropped(last)])
    train = parts["train"]
    write_artifact(
        run.preparation,
        Preparation.model_validate(
            {
                "format": 3,
                "source": "starter",
                "sha256": "5f0e" * 16,
                "kind": "json",
                "formats": {"alpaca": last + 4},
                "fingerprints": {"data": "5f0e" * 16, "model": "b179" * 16},
                "objective": "instruction",
                "classes": [],
                "label_sets": [],
                "prompt_template": "alpaca",
                "split": "group",
                "rows": {
                    "read": last + 4,
                    "kept": last - 2,
                    "repaired": 2,
                    "dropped": 4,
                    **{split: len(examples) for split, examples in parts.items()},
                },
                "tokens": {
                    "train": sum(example["tokens"] for example in train),
                    "supervised": sum(example["supervised"] for example in train),
                    "distinct": sum(example["tokens"] for example in train) // 2,
                    "longest": max(example["tokens"] for example in train),
                },
                "repeated_prompts": 12,
                "leaks": {"test": [], "validation": []},
                "model": "smollm2-135m-instruct",
                "model_sha256": "b179" * 16,
                "settings": {"data": {}, "model": {}},
                "end_of_turn": END,
                "end_of_turn_id": 2,
                "notes": [],
            }
        ),
    )


def prepared_row(example: dict[str, Any]) -> PreparedRow:
    """Return an invented example as `prepare` makes it."""
    ids = Example(example["row"], tuple(example["ids"]), example["prompt_tokens"], example["supervised"])
    return PreparedRow(example["prompt"], example["response"], ids)


def _kept(parts: dict[str, list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    repairs = {
        row: [Message("data.crlf", "output: CRLF was replaced with LF").to_record()] for row in (3, 11)
    }
    for split, examples in parts.items():
        for example in examples:
            reasons = repairs.get(example["row"], [])
            outcome = "repaired" if reasons else "kept"
            yield {"row": example["row"], "outcome": outcome, "split": split, "reasons": reasons}


def _dropped(last: int) -> Iterable[dict[str, Any]]:
    repeat, empty = (
        Message("data.duplicate_row", "duplicate of row 0"),
        Message("data.empty", "output is empty"),
    )
    for row, reason in enumerate([repeat, repeat, repeat, empty], start=last):
        yield {"row": row, "outcome": "dropped", "split": None, "reasons": [reason.to_record()]}


def tune(run: RunFolder, validation: list[dict[str, Any]]) -> None:
    """Write what `tune` writes: a curve that falls, and three prompts answered as it does."""
    steps, chance = 226, np.random.default_rng(3)
    before, after, best = 2.41, 0.93, 0.92
    events: list[dict[str, Any]] = [
        {"event": "note", "step": 0, "message": "Prefix tree in use: parity 3e-07 nats."}
    ]
    for step in range(steps + 1):
        if step:
            loss = (
                0.9
                + 1.6 * math.exp(-step / 25)
                + 0.2 * float(chance.standard_normal()) * math.exp(-step / 300)
            )
            events.append(_step(step, max(loss, 0.1), steps))
        if step % 28 == 0 or step == steps:
            loss = before if step == 0 else best + (1.2 * math.exp(-step / 30)) + max(0, step - 196) * 0.0004
            events.append(
                {"event": "validation", "step": step, "loss": loss, "mean_token_accuracy": _accuracy(loss)}
            )
            events.extend(_samples(step, validation[:3]))
    write_json_lines(run.events, events)
    write_artifact(
        run.training,
        TrainingResult.model_validate(
            {
                "format": 2,
                "examples_per_second": 5.31,
                "computed_tokens": 67120,
                "distinct_tokens": 61040,
                "supervised_tokens": 25402,
                "max_nodes": 1536,
                "seconds": 339.2,
                "peak_memory_bytes": 2_140_000_000,
                "dtype": "float32",
                "fallback_reason": None,
                "steps": steps,
                "planned_steps": steps,
                "best_step": 196,
                "resumed": [],
                "allowed_changes": [],
                "trainable_parameters": 4_884_480,
                "loss": {"before": before, "after": after, "best": best},
            }
        ),
    )


def _step(step: int, loss: float, steps: int) -> dict[str, Any]:
    return {
        "event": "step",
        "step": step,
        "epoch": 2 * step / steps,
        "loss": loss,
        "mean_token_accuracy": _accuracy(loss),
        "learning_rate": 5e-4 * (1 + math.cos(math.pi * step / steps)) / 2,
        "grad_norm": 1.1,
        "examples": 8,
        "computed_tokens": 297,
        "supervised_tokens": 112,
        "seconds": 1.5,
    }


def _accuracy(loss: float) -> float:
    return round(112 * math.exp(-0.4 * loss)) / 112


def _samples(step: int, examples: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for example in examples:
        early = f"Sure! I can help you with that. {example['response']} Is there anything else I can help"
        yield {
            "event": "sample",
            "step": step,
            "row": example["row"],
            "prompt": example["prompt"],
            "reference": example["response"],
            "response": early if step < 50 else example["response"],
        }


def evaluate(run: RunFolder, examples: list[dict[str, Any]], chance: random.Random) -> None:
    """Write what `evaluate` writes: a wordy base model, and a tuned one that is mostly right."""
    write_json_lines(run.responses("base"), [_base_answer(example, chance) for example in examples])
    write_json_lines(run.responses("tuned"), [_tuned_answer(example, chance) for example in examples])
    measure(run)


def measure(run: RunFolder, primary: str = "chrf") -> None:
    """Write the figures that belong to the answers in the folder."""
    scores = score_rows(read_json_lines(run.responses("base")), read_json_lines(run.responses("tuned")))
    write_json_lines(run.scores, scores.to_records())
    result = compare_scores(scores, load_metric(primary)).to_record()
    found = {"format": 2, **result, "sets": {}, "general_text": GENERAL_TEXT_FIGURES}
    write_artifact(run.metrics, AnswerEvaluation.model_validate(found))


def answer(
    example: dict[str, Any], response: str, *, nats: float = 30.0, stopped: bool = True
) -> dict[str, Any]:
    """Make one line of base.jsonl or tuned.jsonl."""
    return {
        "row": example["row"],
        "prompt": example["prompt"],
        "reference": example["response"],
        "response": response,
        "response_tokens": len(encode(response)),
        "stopped": stopped,
        "reference_log_prob": -nats,
        "reference_bytes": len(example["response"].encode()) + 1,
    }


def _base_answer(example: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    opening = chance.choice(
        (
            "The task is to complete the request. ",
            "",
            "Sure! ",
            "Here is a response that completes the request: ",
        )
    )
    cut = chance.random() < 0.35
    body = (
        example["response"] if chance.random() < 0.25 else example["prompt"].split("\n\n")[1].split("\n")[-1]
    )
    rambling = " The response should be clear, concise and easy to understand." * 12 if cut else ""
    nats = chance.uniform(1.1, 2.0) * (len(example["response"]) + 1) ** 0.9
    return answer(example, opening + body + rambling, nats=nats, stopped=not cut)


def _tuned_answer(example: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    luck = chance.random()
    response = example["response"]
    if luck > 0.9:
        response = "I am not sure, but it might be something else."
    elif luck > 0.55:
        response = response[: max(3, int(len(response) * 0.8))].rstrip() + "."
    nats = chance.uniform(0.4, 1.0) * (len(example["response"]) + 1) ** 0.9
    return answer(example, response, nats=nats)
