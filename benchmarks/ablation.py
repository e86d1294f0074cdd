"""Measure what makes a training step fast, by leaving out one thing at a time: python -m benchmarks.ablation"""

from statistics import median
from typing import Any

from benchmarks.contenders import Contender, Round, paired, results_of
from benchmarks.tables import percent, spread
from benchmarks.training import compare_trainings

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
    compare_trainings(__doc__, contenders, HEAD, _line)


def _line(contender: Contender, rounds: list[Round], job: dict[str, Any]) -> list[str]:
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
