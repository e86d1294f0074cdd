"""Measure once, and cache, what is fastest on this machine: the number of threads and the compute dtype.

While other programs run, one thread can look faster than two, and a cached result would affect all later runs.
So a result measured under load is not cached, and does not reduce the number of threads.
"""

import json
import math
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from tutelage.errors import TutelageError
from tutelage.system.storage import write_atomically

FILE = "machine.json"
MEASURED_SECONDS = 2.0
# Share of the possible CPU time that the threads get if nothing else is running.
QUIET_SHARE = 0.8
# About a layer of a small model, for the tokens of a micro-batch.
TOKENS, HIDDEN, INNER = 256, 576, 1536
PROBE_SIZE = 32


@dataclass(frozen=True)
class Autotuned:
    """The fastest way to run a small model on this CPU."""

    threads: int
    dtype: str  # float32 or bfloat16


def autotune(cache: Path) -> Autotuned:
    """Return the cached measurement for this machine, or measure for two seconds and store it in `cache`."""
    path, key = cache / FILE, _key()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["measured_for"] == key:
            return Autotuned(int(kept["threads"]), str(kept["dtype"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never measured, or by another version
    found, is_fair = measure()
    if is_fair:
        with suppress(TutelageError):  # an unwritable cache costs two seconds next time
            text = json.dumps({"measured_for": key, **asdict(found)}, ensure_ascii=False, indent=2)
            write_atomically(path, f"{text}\n".encode())
    return found


def measure() -> tuple[Autotuned, bool]:
    """Time a layer with each option; return the fastest, and whether the machine was idle enough."""
    import torch  # noqa: PLC0415 - a dry run does not need it

    most = torch.get_num_threads()
    ways = [(threads, dtype) for threads in _thread_counts(most) for dtype in ("float32", "bfloat16")]
    try:
        timed = {way: _time(*way, budget=MEASURED_SECONDS / len(ways)) for way in ways}
    finally:
        torch.set_num_threads(most)
    with_all = [way for way in ways if way[0] == most]
    is_fair = with_all == ways or max(timed[way].share for way in with_all) >= QUIET_SHARE
    return Autotuned(*min(ways if is_fair else with_all, key=lambda way: timed[way].seconds)), is_fair


def _thread_counts(most: int) -> list[int]:
    """Return all threads and half of them: hyperthreads can be slower. OMP_NUM_THREADS takes precedence."""
    return [most] if "OMP_NUM_THREADS" in os.environ else sorted({most, max(1, most // 2)}, reverse=True)


@dataclass(frozen=True)
class _Timed:
    """The shortest time of a layer, and the share of the possible CPU time that it used."""

    seconds: float
    share: float


def _time(threads: int, dtype_name: str, *, budget: float) -> _Timed:
    """Time a layer repeatedly for `budget` seconds; the shortest time is least affected by other load."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    dtype = getattr(torch, dtype_name)
    x = torch.ones(TOKENS, HIDDEN, dtype=dtype)
    widening, narrowing = torch.ones(INNER, HIDDEN, dtype=dtype), torch.ones(HIDDEN, INNER, dtype=dtype)
    began, worked = time.perf_counter(), time.process_time()
    shortest, now = math.inf, began
    while now < began + budget or shortest == math.inf:
        before = now
        inner = torch.nn.functional.silu(x @ widening.t())
        outer = x + inner @ narrowing.t()
        torch.nn.functional.silu(outer @ narrowing) @ widening
        now = time.perf_counter()
        shortest = min(shortest, now - before)
    return _Timed(shortest, (time.process_time() - worked) / (now - began) / threads)


def _key() -> dict[str, object]:
    import torch  # noqa: PLC0415

    return {
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # an environment variable can restrict it
        "bfloat16_products": has_bfloat16_products(),
        "cores": core_count(),
        "torch": torch.__version__,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


@cache
def has_bfloat16_products() -> bool:
    """Return whether the CPU kernel for bfloat16 products with a packed weight works here, by running it once.

    Otherwise torch emulates such products, which is many times slower than float32.
    """
    import torch  # noqa: PLC0415

    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    weight, x = (torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=torch.bfloat16) for _ in range(2))
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PROBE_SIZE)
        product = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except RuntimeError:  # raised by every build if the instruction set is missing
        return False
    return bool((product == PROBE_SIZE).all())


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
