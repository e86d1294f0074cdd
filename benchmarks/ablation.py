"""Measure what makes a training step fast, by leaving out one thing at a time: python -m benchmarks.ablation"""

import argparse
import sys
from statistics import median
from typing import Any

from benchmarks.contenders import (
    Contender,
    Round,
    add_run_options,
    all_ran,
    choose,
    describe,
    paired,
    results_of,
    run_rounds,
    write_rounds,
)
from benchmarks.tables import percent, spread, table
from benchmarks.training import describe_work
from benchmarks.work import add_dtype_option, add_training_options, add_work_options, training_job

WHOLE = "tutelage"
HEAD = ("contender", "without", "examples/s", "the whole is", "peak GB", "the whole needs", "first loss")


def contenders(dtype: str) -> tuple[Contender, ...]:
    """Return the whole step, those that lack a part of it, and the best peer."""
    found = [
        Contender(WHOLE, "tutelage", dtype, None, "-", dtype),
        Contender("unshared", "tutelage", f"{dtype}-unshared", None, "shared prefixes", dtype),
        Contender("unfused", "tutelage", f"{dtype}-unfused", None, "fused layers", dtype),
        Contender("neither", "tutelage", f"{dtype}-neither", None, "both", dtype),
        Contender("trainer", "trainer", dtype, "hf", "all (Trainer + PEFT, by length)", dtype),
    ]
    if dtype == "bf16":
        found.insert(1, Contender("fp32", "tutelage", "fp32", None, "bf16", "fp32"))
    return tuple(found)


def main() -> None:
    """Run every contender in every round, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_options(parser)
    add_training_options(parser)
    add_dtype_option(parser)
    add_run_options(parser, contenders("bf16"))
    options = parser.parse_args()
    job = training_job(options)
    chosen = choose(contenders(job["dtype"]), options.only)
    rounds = run_rounds(chosen, job, rounds=options.rounds)
    print(describe(rounds, job))
    print(describe_work(job))
    print(table(HEAD, [_line(contender, rounds) for contender in chosen]))
    if options.output:
        write_rounds(options.output, job, rounds)
    if not all_ran(chosen, rounds):
        sys.exit(1)


def _line(contender: Contender, rounds: list[Round]) -> list[Any]:
    own = results_of(contender.name, rounds)
    pairs = paired(WHOLE, contender.name, rounds)
    faster = [whole["examples_per_second"] / part["examples_per_second"] for whole, part in pairs]
    smaller = [whole["peak_rss_bytes"] / part["peak_rss_bytes"] for whole, part in pairs]
    return [
        contender.name,
        contender.settings,
        spread([result["examples_per_second"] for result in own]),
        f"{spread(faster)} times as fast" if faster else "",
        spread([result["peak_rss_bytes"] / 1e9 for result in own]),
        f"{percent(smaller)} of it" if smaller else "",
        f"{median(result['first_loss'] for result in own):.4f}" if own else "-",
    ]


if __name__ == "__main__":
    main()
