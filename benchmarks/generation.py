"""Measure greedy generation: Tutelage and transformers on the same prompts: python -m benchmarks.generation"""

import argparse
import sys
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
from benchmarks.work import add_dtype_option, add_generation_options, add_work_options, generation_job

OURS, PEER = "tutelage", "transformers"
OURS_FP32, PEER_FP32 = "tutelage-fp32", "transformers-fp32"


def contenders(dtype: str) -> tuple[Contender, ...]:
    """Return who takes part where `dtype` suits the processor; where that is bf16, both in fp32 too."""
    by_length = "batches by length, padded left"
    found = (
        Contender(OURS, "generation_tutelage", dtype, None, dtype, dtype),
        Contender(OURS_FP32, "generation_tutelage", "fp32", None, "fp32", "fp32"),
        Contender(PEER, "generation_transformers", dtype, "hf", f"{dtype}, {by_length}", dtype),
        Contender(PEER_FP32, "generation_transformers", "fp32", "hf", f"fp32, {by_length}", "fp32"),
    )
    return tuple(one for one in found if dtype == "bf16" or one.name not in (OURS_FP32, PEER_FP32))


HEAD = (
    "contender",
    "settings",
    "seconds",
    "tokens/s",
    "prompts/s",
    "tutelage is",
    "peak GB",
    "tutelage needs",
    "others",
)


def main() -> None:
    """Run every contender in every round, print the table and compare the tokens in fp32."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_work_options(parser)
    add_generation_options(parser)
    add_dtype_option(parser)
    add_run_options(parser, contenders("bf16"))
    options = parser.parse_args()
    job = generation_job(options)
    chosen = choose(contenders(job["dtype"]), options.only)
    rounds = run_rounds(chosen, job, rounds=options.rounds)
    print(describe(rounds, job))
    print(
        f"{len(job['prompts'])} prompts, greedy, at most {job['new_tokens']} new tokens;"
        f" at once: tutelage {job['batch']}, transformers {job['peer_batch']}\n"
    )
    print(table(HEAD, [_line(contender, rounds) for contender in chosen]))
    other_rows = _rows_that_differ(rounds, job["dtype"])
    if other_rows is not None:
        print(
            f"\nfp32: {len(job['prompts']) - len(other_rows)} of {len(job['prompts'])} answers have equal tokens"
        )
    if other_rows:
        print(f"the others are those to the prompts {', '.join(map(str, other_rows))}")
    if options.output:
        write_rounds(options.output, job, rounds)
    if other_rows or not all_ran(chosen, rounds):
        sys.exit(1)


def _line(contender: Contender, rounds: list[Round]) -> list[str]:
    own = results_of(contender.name, rounds)
    pairs = paired(OURS, contender.name, rounds)
    smaller = [ours["peak_rss_bytes"] / peer["peak_rss_bytes"] for ours, peer in pairs]
    faster = [peer["seconds"] / ours["seconds"] for ours, peer in pairs]
    return [
        contender.name,
        contender.settings,
        spread([result["seconds"] for result in own]),
        spread([_tokens(result) / result["seconds"] for result in own], 0),
        spread([len(result["answers"]) / result["seconds"] for result in own]),
        f"{spread(faster)} times as fast" if faster else "",
        spread([result["peak_rss_bytes"] / 1e9 for result in own]),
        f"{percent(smaller)} of it" if smaller else "",
        percent([result["others"] for result in own]),
    ]


def _tokens(result: dict[str, Any]) -> int:
    return sum(len(answer) for answer in result["answers"])


def _rows_that_differ(rounds: list[Round], dtype: str) -> list[int] | None:
    """Return the prompts whose fp32 answers differ in any round; None where the two were not both run."""
    ours, peer = (OURS_FP32, PEER_FP32) if dtype == "bf16" else (OURS, PEER)
    pairs = paired(ours, peer, rounds)
    if not pairs:
        return None
    return sorted(
        {
            index
            for ours, peer in pairs
            for index, (one, other) in enumerate(zip(ours["answers"], peer["answers"], strict=True))
            if one != other
        }
    )


if __name__ == "__main__":
    main()
