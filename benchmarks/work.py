"""The work that every contender is given, as token ids in one JSON file: python -m benchmarks.work job.json

The rows are rendered once, by Tutelage's own renderer, so that all contenders compute on the same ids.
"""

import argparse
import json
import math
import random
import sys
from pathlib import Path
from typing import Any

from benchmarks.workloads import SEED, WORKLOADS, Workload, by_length, long_rows
from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.data.dataset.splits import split_rows
from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts.encoding import encode_text
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.records import Source
from tutelage.data.sources.sources import STARTER, read_source
from tutelage.errors import FetchError, TutelageError
from tutelage.model.loading import load_tokenizer
from tutelage.model.sources import locate_model
from tutelage.system.fetching import user_cache

# How `training.dtype` names the types of the benchmarks.
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
RECIPE = {
    "seed": SEED,
    "rank": 16,
    "alpha": 32,
    "learning_rate": 1e-4,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "book_learning_rate": 5e-5,
}
BATCH, BATCH_WITH_SYSTEM_PROMPT = 8, 32
NEW_TOKENS = 64
PEER_GENERATION_BATCH = 32

SYSTEM_OPENING = "You are the assistant of a company's help desk. Keep to these rules in every answer."
SYSTEM_RULES = (
    "Answer in the language of the question and in whole sentences.",
    "Give the answer first, and the reason after it, if one is asked for.",
    "Change nothing in a text that you were not asked to change.",
    "Write numbers with their units, and convert them only when that is asked for.",
    "Say that you do not know rather than guess a name, a date or a figure.",
    "Leave out greetings, apologies and remarks about yourself.",
    "Use the spelling of the text that you were given.",
    "When a list is asked for, give one item a line and nothing else.",
)


def main() -> None:
    """Write the training job with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the JSON file to write")
    add_work_options(parser)
    add_training_options(parser)
    add_dtype_option(parser)
    options = parser.parse_args()
    write_job(options.output, training_job(options))


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """Add what training and generation have in common."""
    parser.add_argument("--data", help="rows to work on; default: those of the workload, else the book's")
    parser.add_argument("--model", help="name or folder of the model; default: the project's default model")
    parser.add_argument(
        "--prompt-template", choices=["alpaca", "chat"], default="alpaca", help="default: alpaca, the book's"
    )


def add_dtype_option(parser: argparse.ArgumentParser) -> None:
    """Add the type of the matrix products, for all contenders alike."""
    parser.add_argument(
        "--dtype",
        choices=["auto", *DTYPES],
        default="auto",
        help="type of the products; auto: the one that `tutelage train` measures to be faster here",
    )


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes the training work."""
    parser.add_argument(
        "--workload", choices=WORKLOADS, default="book", help="rows, steps and examples a step; default: book"
    )
    parser.add_argument(
        "--order",
        choices=["given", "by-length"],
        default="given",
        help="by-length: steps of rows of like length, in an order of chance, for all contenders alike",
    )
    parser.add_argument("--steps", type=_at_least_three, help="optimiser steps; 1 and 2 are not timed")
    parser.add_argument(
        "--batch",
        type=_positive,
        help=f"examples a step (with a system prompt {BATCH_WITH_SYSTEM_PROMPT})",
    )
    parser.add_argument(
        "--system-prompt", type=int, default=0, metavar="TOKENS", help="length of a text before each prompt"
    )
    parser.add_argument(
        "--peer-micro-batch",
        type=_positive,
        help="peers accumulate gradients over micro-batches of so many examples",
    )


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes the generation work."""
    parser.add_argument("--limit", type=_positive, help="answer only the first so many prompts")
    parser.add_argument("--batch", type=_positive, help="prompts that Tutelage answers at once; default: all")
    parser.add_argument(
        "--peer-batch",
        type=_positive,
        default=PEER_GENERATION_BATCH,
        help="prompts that transformers answers at once, left-padded",
    )


def training_job(options: argparse.Namespace) -> dict[str, Any]:
    """Return model, settings and the examples of every step, in order."""
    workload = WORKLOADS[options.workload]
    steps = options.steps or workload.steps
    batch = options.batch or (BATCH_WITH_SYSTEM_PROMPT if options.system_prompt else workload.batch)
    micro_batch = min(batch, options.peer_micro_batch or workload.peer_micro_batch)
    if batch % micro_batch:
        raise SystemExit(f"--batch {batch} is not a multiple of --peer-micro-batch {micro_batch}.")
    source, renderer = load_model_and_renderer(options)
    system = _system_ids(renderer.tokenizer, options.system_prompt)
    rows, named = _training_rows(options, workload, renderer, steps * batch)
    examples = [{**row, "ids": [*system, *row["ids"]]} for row in rows]
    return {
        **RECIPE,
        **_model_facts(source.folder),
        **_dtype_facts(options.dtype),
        "workload": options.workload,
        "rows": named,
        "prompt_template": options.prompt_template,
        "order": options.order,
        "steps": steps,
        "batch": batch,
        "peer_micro_batch": micro_batch,
        "system_prompt_tokens": len(system),
        "padding": renderer.end_of_turn,
        "examples": by_length(examples, batch=batch) if options.order == "by-length" else examples,
    }


def _training_rows(
    options: argparse.Namespace, workload: Workload, renderer: Any, wanted: int
) -> tuple[list[dict[str, Any]], str]:
    """Return so many rows as ids, and where they come from."""
    if workload.row_tokens and not options.data:
        tokens, end = workload.row_tokens, renderer.end_of_turn
        made = long_rows(renderer.tokenizer, end=end, tokens=tokens, count=wanted)
        return made, f"rows of {tokens:,} tokens of general text"
    splits, named = _read_splits(options.data, workload)
    examples = (
        (row, renderer.example(row, train_on="assistant")) for row in _in_order(splits["train"], wanted)
    )
    return [
        {"row": row.row, "ids": list(example.ids), "supervised": example.supervised}
        for row, example in examples
    ], f"rows of {named}"


def _dtype_facts(wanted: str) -> dict[str, str]:
    """Return the type of the products, bf16 or fp32, and who chose it: the caller, or the product's own measurement."""
    if wanted != "auto":
        return {"dtype": wanted, "dtype_chosen_by": "--dtype"}
    from tutelage.system.runtime import choose_device, choose_dtype, name_dtype  # noqa: PLC0415 - with torch

    measured = name_dtype(choose_dtype("auto", choose_device("cpu")))
    dtype = next(dtype for dtype, name in DTYPES.items() if name == measured)
    return {"dtype": dtype, "dtype_chosen_by": "measurement"}


def generation_job(options: argparse.Namespace) -> dict[str, Any]:
    """Return the model, the prompts of the test rows and how many are answered at once."""
    source, renderer, splits = load_work(options)
    rows = splits["test"][: options.limit]
    return {
        **_model_facts(source.folder),
        **_dtype_facts(options.dtype),
        "new_tokens": NEW_TOKENS,
        "batch": options.batch or len(rows),
        "peer_batch": options.peer_batch,
        "end_of_turn": renderer.end_of_turn,
        "prompts": [renderer.prompt_ids(row) for row in rows],
    }


def write_job(path: Path, job: dict[str, Any]) -> None:
    path.write_text(json.dumps(job), encoding="utf-8")


def load_work(options: argparse.Namespace) -> tuple[Any, Any, dict[str, list[Any]]]:
    """Return the model, its renderer and the book's rows, or those that were named, of each split by position."""
    source, renderer = load_model_and_renderer(options)
    return source, renderer, _read_splits(options.data, WORKLOADS["book"])[0]


def load_model_and_renderer(options: argparse.Namespace) -> tuple[Any, Any]:
    """Return the model and the renderer of the prompt template."""
    try:
        source = locate_model(options.model or DEFAULT_MODEL, cache=user_cache(), progress=print)
    except TutelageError as fault:
        raise SystemExit(str(fault)) from fault
    return source, make_renderer(load_tokenizer(source.folder), options.prompt_template)


def _read_splits(named: str | None, workload: Workload) -> tuple[dict[str, list[Any]], str]:
    """Return the rows of each split by position, and the name of their file."""
    try:
        found = _read_rows(named, workload)
        rows = read_conversations(found.records, source=found.name).rows
    except TutelageError as fault:
        raise SystemExit(str(fault)) from fault
    return split_rows(rows, rule="position", train_size=0.85, test_size=0.10), Path(found.name).name


def _read_rows(named: str | None, workload: Workload) -> Source:
    """Read what was named, else the workload's rows; where they cannot be had, say so and read the starter rows."""
    if named:
        return read_source(named, cache=user_cache())
    if workload.file and workload.file.is_file():
        return read_source(str(workload.file), cache=user_cache())
    reason = "no file beside the repository"
    if workload.fetched:
        try:
            return read_source(workload.fetched, cache=user_cache())
        except FetchError as fault:
            reason = fault.code
    print(
        f"The workload's rows cannot be had ({reason}), so the starter rows are taken; README's figures are of the"
        " workload's own. --data FILE takes other rows.",
        file=sys.stderr,
    )
    return read_source(STARTER, cache=user_cache())


def _in_order(rows: list[Any], wanted: int) -> list[Any]:
    """Return so many rows: shuffled once, and again as often as all of them are used up."""
    chance = random.Random(SEED)
    ordered: list[Any] = []
    while len(ordered) < wanted:
        ordered += chance.sample(rows, len(rows))
    return ordered[:wanted]


def _system_ids(tokenizer: Any, tokens: int) -> list[int]:
    """Return the ids of numbered rules, cut to so many tokens."""
    # A rule has more than eight tokens, so there are always enough of them.
    rules = [
        f"{number}. {SYSTEM_RULES[number % len(SYSTEM_RULES)]}"
        for number in range(1, 2 + math.ceil(tokens / 8))
    ]
    return encode_text(tokenizer, "\n".join([SYSTEM_OPENING, *rules]))[:tokens]


def _model_facts(folder: Path) -> dict[str, Any]:
    """Return where the model is, its sizes, and how many weights its products have in the body and in the head."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    head = config["vocab_size"] * config["hidden_size"]
    matrices = [
        math.prod(shape)
        for name, shape in _weight_shapes(folder).items()
        if len(shape) == 2 and ".layers." in name
    ]
    return {
        "model": str(folder),
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["intermediate_size"],
        "body_weights": sum(matrices),
        "head_weights": head,
    }


def _weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Read the header of a safetensors file: eight bytes of its length, then JSON."""
    with (folder / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _at_least_three(text: str) -> int:
    value = int(text)
    if value < 3:
        raise argparse.ArgumentTypeError("at least 3, because the first two are not timed")
    return value


if __name__ == "__main__":
    main()
