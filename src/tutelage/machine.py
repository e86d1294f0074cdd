"""What this machine does fastest, measured once and kept: how many threads, and the type of the matrix products."""

import json
import math
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tutelage.errors import TutelageError
from tutelage.run_folder import write_json

FILE = "machine.json"
MEASURED_SECONDS = 2.0
# About a layer of a small model, over the tokens of a micro-batch.
TOKENS, HIDDEN, INNER = 256, 576, 1536


@dataclass(frozen=True)
class Machine:
    """The fastest way to run a small model on this machine's processor."""

    threads: int
    dtype: str  # float32 or bfloat16


def measured_machine(cache: Path) -> Machine:
    """Return what was measured on this machine, or measure it now, for two seconds, and keep it in `cache`."""
    path, key = cache / FILE, _key()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["measured_for"] == key:
            return Machine(int(kept["threads"]), str(kept["dtype"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it was never measured, or by another version
    found = measure()
    with suppress(TutelageError):  # a cache that cannot be written costs two seconds the next time
        write_json(path, {"measured_for": key, **asdict(found)})
    return found


def measure() -> Machine:
    """Time a layer forward and backward in every way, and return the fastest."""
    import torch  # noqa: PLC0415 - a dry run starts without it

    before = torch.get_num_threads()
    ways = [(threads, dtype) for threads in _thread_counts(before) for dtype in ("float32", "bfloat16")]
    try:
        seconds = {way: _seconds_of(*way, budget=MEASURED_SECONDS / len(ways)) for way in ways}
    finally:
        torch.set_num_threads(before)
    return Machine(*min(ways, key=lambda way: seconds[way]))


def _thread_counts(most: int) -> list[int]:
    """Return all threads, and half of them: two that share a core can be slower than one. The user's word counts."""
    return [most] if "OMP_NUM_THREADS" in os.environ else sorted({most, max(1, most // 2)}, reverse=True)


def _seconds_of(threads: int, dtype_name: str, *, budget: float) -> float:
    """Return the shortest time of a layer; the others show what else the machine was doing."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    dtype = getattr(torch, dtype_name)
    x = torch.ones(TOKENS, HIDDEN, dtype=dtype)
    widening, narrowing = torch.ones(INNER, HIDDEN, dtype=dtype), torch.ones(HIDDEN, INNER, dtype=dtype)
    shortest, end = math.inf, time.perf_counter() + budget
    while time.perf_counter() < end or shortest == math.inf:
        begin = time.perf_counter()
        inner = torch.nn.functional.silu(x @ widening.t())
        outer = x + inner @ narrowing.t()
        torch.nn.functional.silu(outer @ narrowing) @ widening
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest


def _key() -> dict[str, object]:
    import torch  # noqa: PLC0415

    return {
        "processor": processor_name(),
        "cores": core_count(),
        "torch": torch.__version__,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
