"""What this machine does fastest, measured once and kept: how many threads, and the type of the matrix products.

While other work runs one thread can look faster than two, and so it would stay for every run to come: what is measured
then is not kept, and no core is given up for it.
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
# Of the processor time that all threads could have, so much is got where nothing else runs.
QUIET_SHARE = 0.8
# About a layer of a small model, over the tokens of a micro-batch.
TOKENS, HIDDEN, INNER = 256, 576, 1536
PROBE_SIZE = 32


@dataclass(frozen=True)
class Autotuned:
    """The fastest way to run a small model on this machine's processor."""

    threads: int
    dtype: str  # float32 or bfloat16


def autotune(cache: Path) -> Autotuned:
    """Return what was measured on this machine, or measure it now, for two seconds, and keep it in `cache`."""
    path, key = cache / FILE, _key()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["measured_for"] == key:
            return Autotuned(int(kept["threads"]), str(kept["dtype"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it was never measured, or by another version
    found, is_fair = measure()
    if is_fair:
        with suppress(TutelageError):  # a cache that cannot be written costs two seconds the next time
            text = json.dumps({"measured_for": key, **asdict(found)}, ensure_ascii=False, indent=2)
            write_atomically(path, f"{text}\n".encode())
    return found


def measure() -> tuple[Autotuned, bool]:
    """Time a layer forward and backward in every way; return the fastest, and whether it would be so on another day."""
    import torch  # noqa: PLC0415 - a dry run starts without it

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
    """Return all threads, and half of them: two that share a core can be slower than one. The user's word counts."""
    return [most] if "OMP_NUM_THREADS" in os.environ else sorted({most, max(1, most // 2)}, reverse=True)


@dataclass(frozen=True)
class _Timed:
    """The shortest time of a layer, and the share that it got of the processor time its threads could have had."""

    seconds: float
    share: float


def _time(threads: int, dtype_name: str, *, budget: float) -> _Timed:
    """Time a layer for so many seconds; all times but the shortest show what else the machine was doing."""
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
        "instructions": torch.backends.cpu.get_cpu_capability(),  # fewer than it has, where a variable says so
        "bfloat16_products": has_bfloat16_products(),
        "cores": core_count(),
        "torch": torch.__version__,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


@cache
def has_bfloat16_products() -> bool:
    """Tell whether the CPU's kernel for bfloat16 products with a packed weight runs here, by running it once.

    Where it does not, torch emulates such products, which takes many times as long as in float32.
    """
    import torch  # noqa: PLC0415

    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    weight, x = (torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=torch.bfloat16) for _ in range(2))
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PROBE_SIZE)
        product = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except RuntimeError:  # what each build says where an instruction set is missing
        return False
    return bool((product == PROBE_SIZE).all())


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
