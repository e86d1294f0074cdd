"""Measure training: Tutelage and its peers on the same rows, one after the other: python -m benchmarks.training"""

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.contenders import (
    Contender,
    Round,
    add_run_options,
    all_ran,
    choose,
    describe,
    machine_rate,
    paired,
    results_of,
    run_rounds,
    write_rounds,
)
from benchmarks.runners.job import UNTIMED_STEPS, batches
from benchmarks.tables import percent, spread, table
from benchmarks.work import add_dtype_option, add_training_options, add_work_options, training_job
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import count_distinct

OURS = "tutelage"


def contenders(dtype: str) -> tuple[Contender, ...]:
    """Return who takes part where `dtype` suits the processor; where that is bf16, we and the best peer in fp32 too."""
    has_bf16 = dtype == "bf16"
    defaults, autocast = (
        ("defaults", "bf16 autocast") if has_bf16 else ("defaults-fp32", "without bf16 autocast")
    )
    found = (
        Contender(OURS, "tutelage", dtype, None, f"{dtype}, fp32 adapter", dtype),
        Contender("tutelage-fp32", "tutelage", "fp32", None, "fp32", "fp32"),
        Contender("trainer", "trainer", dtype, "hf", f"{dtype} weights and adapter, by length", dtype),
        Contender("trainer-fp32", "trainer", "fp32", "hf", "fp32, by length", "fp32"),
        Contender("trl", "trl", dtype, "hf", f"{dtype}, no checkpointing, by length", dtype),
        Contender("trl-defaults", "trl", defaults, "hf", f"defaults ({autocast}, checkpointing)", dtype),
        Contender("book", "book", "fp32", "hf", "every weight, fp32, loss on the prompt too", "fp32"),
    )
    return tuple(one for one in found if has_bf16 or one.name not in ("tutelage-fp32", "trainer-fp32"))


HEAD = (
    "contender",
    "settings",
    "examples/s",
    "tutelage is",
    "peak GB",
    "tutelage needs",
    "of GEMM",
    "first loss",
    "others",
)


def main() -> None:
    """Run every contender in every round, then print the table."""
    compare_trainings(__doc__, contenders, HEAD, _line)


def compare_trainings(
    description: str | None,
    contenders: Callable[[str], tuple[Contender, ...]],
    head: Sequence[str],
    line: Callable[[Contender, list[Round], dict[str, Any]], list[str]],
) -> None:
    """Run the contenders that the command line names on the same training, then print a line for each."""
    parser = argparse.ArgumentParser(description=description)
    add_work_options(parser)
    add_training_options(parser)
    add_dtype_option(parser)
    add_run_options(parser, contenders("bf16"))
    options = parser.parse_args()
    job = training_job(options)
    chosen = choose(contenders(job["dtype"]), options.only)
    rounds = run_rounds(chosen, job, rounds=options.rounds)
    print(describe(rounds, job))
    print(_describe_work(job))
    print(table(head, [line(contender, rounds, job) for contender in chosen]))
    if options.output:
        write_rounds(options.output, job, rounds)
    if not all_ran(chosen, rounds):
        sys.exit(1)


def _describe_work(job: dict[str, Any]) -> str:
    """Return rows and steps: their length, what steps share of them, and how many steps were timed."""
    timed = batches(job)[UNTIMED_STEPS:]
    tokens = sum(len(row["ids"]) for batch in timed for row in batch)
    share = 1 - distinct_tokens(timed) / (tokens - sum(map(len, timed)))
    system = f", {job['system_prompt_tokens']} of them a system prompt" if job["system_prompt_tokens"] else ""
    by_length = ", steps of like length" if job["order"] == "by-length" else ""
    return (
        f"{job['workload']}: {job['rows']}, {tokens / len(timed) / job['batch']:.0f} tokens a row{system}, {share:.0%}"
        f" shared within a step{by_length}; {job['steps']} steps of {job['batch']}, {len(timed)} timed (not the first"
        f" {UNTIMED_STEPS})\n"
    )


def _line(contender: Contender, rounds: list[Round], job: dict[str, Any]) -> list[str]:
    own = results_of(contender.name, rounds)
    pairs = paired(OURS, contender.name, rounds)
    faster = [ours["examples_per_second"] / peer["examples_per_second"] for ours, peer in pairs]
    smaller = [ours["peak_rss_bytes"] / peer["peak_rss_bytes"] for ours, peer in pairs]
    return [
        contender.name,
        contender.settings,
        spread([result["examples_per_second"] for result in own]),
        f"{spread(faster)} times as fast" if faster else "",
        spread([result["peak_rss_bytes"] / 1e9 for result in own]),
        f"{percent(smaller)} of it" if smaller else "",
        percent(_shares_of_gemm(contender, rounds, job)),
        f"{median(result['first_loss'] for result in own):.4f}" if own else "-",
        percent([result["others"] for result in own]),
    ]


def _shares_of_gemm(contender: Contender, rounds: list[Round], job: dict[str, Any]) -> list[float]:
    """Return what each run made of the machine's rate: for us over the distinct tokens, for peers over all they need.

    Forward and the gradient of the input are two operations a weight each; frozen weights need no gradient.
    """
    if contender.runner == "book":
        return []  # it trains every weight, and supervises every token
    shares_prefixes = contender.runner == OURS
    per_example = needed_operations(job, shares_prefixes=shares_prefixes)
    rate = machine_rate(rounds, contender.dtype)
    return [
        result["examples_per_second"] * per_example / rate for result in results_of(contender.name, rounds)
    ]


def needed_operations(job: dict[str, Any], *, shares_prefixes: bool) -> float:
    """Return operations an example of the timed steps: 4 a body weight and token, 4 a head weight and target."""
    timed = batches(job)[UNTIMED_STEPS:]
    tokens = sum(len(row["ids"]) - 1 for batch in timed for row in batch)
    if shares_prefixes:
        tokens = distinct_tokens(timed)
    supervised = sum(row["supervised"] for batch in timed for row in batch)
    operations = 4 * job["body_weights"] * tokens + 4 * job["head_weights"] * supervised
    return operations / (len(timed) * job["batch"])


def distinct_tokens(steps: list[list[dict[str, Any]]]) -> int:
    """Return how many tokens are computed where each step computes a shared prefix once; none for the last of a row."""
    return sum(
        count_distinct([Example(row["row"], tuple(row["ids"]), 0, row["supervised"]) for row in step])
        for step in steps
    )


if __name__ == "__main__":
    main()
