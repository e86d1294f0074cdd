"""What all runners share: reading the job, timing the steps, and the one line of JSON at the end.

It runs in the peers' environments too, so it imports nothing but the standard library and, when called, torch.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

UNTIMED_STEPS = 2

# From prompts and the number of new tokens to the new ids of each, without the end token.
Answer = Callable[[list[list[int]], int], list[list[int]]]


def read_job(about: str | None, variants: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the job file and the variant that the command line names."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("job", type=Path, help="a file that benchmarks.work wrote")
    parser.add_argument("--variant", choices=variants, default=variants[0])
    options = parser.parse_args()
    return json.loads(options.job.read_text(encoding="utf-8")), options.variant


def batches(job: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the examples of each step."""
    size = job["batch"]
    return [job["examples"][begin : begin + size] for begin in range(0, job["steps"] * size, size)]


def by_length_within_steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all examples in the order of the steps, those of each step by length, so that micro-batches pad little."""
    return [row for step in batches(job) for row in sorted(step, key=lambda row: len(row["ids"]))]


class StepClock:
    """Notes the time after every step of any optimiser of this process."""

    def __init__(self) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self._times: list[float] = []
        register_optimizer_step_post_hook(lambda *_: self._times.append(time.perf_counter()))

    def start(self) -> None:
        """Begin; what comes before the first step's end counts as the first step."""
        self._times = [time.perf_counter()]

    def seconds(self) -> list[float]:
        return [end - begin for begin, end in zip(self._times, self._times[1:], strict=False)]


def print_training(
    job: dict[str, Any], clock: StepClock, losses: Sequence[float], packages: Sequence[str]
) -> None:
    """Print the result of a training runner; losses are mean nats per supervised token, one a step."""
    seconds = clock.seconds()
    if not len(seconds) == len(losses) == job["steps"]:
        raise SystemExit(f"{job['steps']} steps were asked for; {len(seconds)} timed, {len(losses)} losses")
    timed = seconds[UNTIMED_STEPS:]
    print_result(
        {
            "examples_per_second": job["batch"] * len(timed) / sum(timed),
            "step_seconds": seconds,
            "losses": list(losses),
            "first_loss": losses[0],
            "last_loss": losses[-1],
        },
        packages,
    )


def time_answers(job: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the answers to the prompts of a job and the seconds they took, after a small one to warm up."""
    answer(job["prompts"][:2], 4)
    begin = time.perf_counter()
    answers = answer(job["prompts"], job["new_tokens"])
    return {"seconds": time.perf_counter() - begin, "answers": answers}


def print_result(result: dict[str, Any], packages: Sequence[str]) -> None:
    """Print a result with peak memory and versions as the last line of this process."""
    versions = {package: metadata.version(package) for package in packages}
    line = {**result, "peak_rss_bytes": peak_rss_bytes(), "versions": versions}
    sys.stdout.flush()
    print("\n" + json.dumps(line), flush=True)


def peak_rss_bytes() -> int:
    """Return the high-water mark of this process; on Linux without what its parent held when it was started."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # which Windows lacks, where --help is shown all the same

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
