"""Run one contender alone in a process of its own, and see how much of the machine others took meanwhile."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Whoever runs the benchmark may have set these for something else; each contender gets its library's default.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS", "KMP_BLOCKTIME")
LINES_SHOWN = 15


def run_alone(python: Path, runner: str, job: Path, variant: str) -> dict[str, Any]:
    """Return what a runner printed last, with `others`: the share of the machine that other programs took."""
    before = _busy_seconds()
    outcome = subprocess.run(
        # As modules from the repository's root: a script trl.py beside it would hide the package trl.
        [str(python), "-m", f"benchmarks.runners.{runner}", str(job), "--variant", variant],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        last = "\n".join((outcome.stderr or outcome.stdout).splitlines()[-LINES_SHOWN:])
        raise RuntimeError(f"{runner} {variant} failed:\n{last}")
    return {
        **json.loads(outcome.stdout.splitlines()[-1]),
        "others": _share_of_others(before, _busy_seconds()),
    }


def environment() -> dict[str, str]:
    """Return this process's environment without its thread settings, and without a hub."""
    kept = {name: value for name, value in os.environ.items() if name not in THREAD_SETTINGS}
    return {**kept, "HF_HUB_OFFLINE": "1"}


def _busy_seconds() -> tuple[float, float, float]:
    """Return the clock, the processor seconds of the whole machine and those of our finished processes."""
    times = os.times()
    return time.perf_counter(), _machine_seconds(), times.children_user + times.children_system


def _machine_seconds() -> float:
    stat = Path("/proc/stat")
    if not stat.is_file() or not hasattr(os, "sysconf"):
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _share_of_others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    wall, machine, ours = (end - begin for begin, end in zip(before, after, strict=True))
    return max(0.0, machine - ours) / (wall * (os.cpu_count() or 1))
