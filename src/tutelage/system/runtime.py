"""The runtime: device, dtype, memory, and a description of the environment.

torch is imported where it is needed, so that a dry run starts at once.
"""

from __future__ import annotations

import math
import os
import platform
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.errors import MemoryExhaustedError, RecipeError
from tutelage.system import platforms
from tutelage.system.autotune import autotune, core_count, has_bfloat16_products, processor_name
from tutelage.system.fetching import settle_home, user_cache
from tutelage.system.system_errors import is_short_of_memory
from tutelage.version import __version__

if TYPE_CHECKING:
    import torch

# From glibc's malloc.h.
MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3

OF_FILES = ("active_file", "inactive_file")  # in a control group's memory statistics

# Address space that torch, transformers, the web server and their libraries map before a model is loaded.
LIBRARIES_BYTES = 1_400_000_000

MEASURED_ROWS = 256
MEASURED_SHAPE = (576, 1536)
MEASURED_SECONDS = 0.15

# Held by the program that uses global random states; reentrant, because listeners may call back.
_ONE_CALLER = threading.RLock()


def settle_process() -> None:
    """Configure the process before torch is imported: home folder, idle threads and freed memory."""
    settle_home()
    _let_threads_sleep()
    _keep_freed_memory()


def _let_threads_sleep() -> None:
    """Let idle threads sleep soon; beside a busy program, a step could otherwise take 20 times as long.

    Measured in docs/decisions/0009-sleeping-threads.md.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step; mapping large blocks again would be slow."""
    library = platforms.c_library()
    if hasattr(library, "mallopt"):
        for option, value in ((MALLOC_MMAP_THRESHOLD, 2**30), (MALLOC_TRIM_THRESHOLD, -1)):
            library.mallopt(option, value)


@contextmanager
def caller_state_kept() -> Iterator[None]:
    """Restore torch's thread count and all global random states afterwards; one caller at a time.

    Training seeds torch's global generator at every step, so parallel trainings would affect each other.
    Libraries imported in the meantime may use Python's generator.
    """
    with _ONE_CALLER:
        drawn = random.getstate()
        import numpy
        import torch

        drawn_by_numpy, threads = numpy.random.get_state(), torch.get_num_threads()
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            torch.set_num_threads(threads)
            numpy.random.set_state(drawn_by_numpy)
            random.setstate(drawn)


def return_freed_memory() -> None:
    """Return memory freed after loading a model to the system; steps could not reuse most of it."""
    library = platforms.c_library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def choose_device(wanted: str) -> torch.device:
    """Return the device for a setting; on a CPU, also set the fastest number of threads.

    `auto` does not choose mps, which has not been tested yet.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise RecipeError(
            "device.no_cuda", "training.device is cuda, but torch sees no GPU here. Use auto or cpu."
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise RecipeError(
            "device.no_mps",
            "training.device is mps, but torch sees no Apple GPU here. Use auto or cpu.",
        )
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(autotune(user_cache()).threads)
    return torch.device(wanted)


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the compute dtype; `auto` only chooses bfloat16 on CPUs where it was measured to be faster.

    Later stages use `choose_inference_dtype`, so that no measurement changes an answer.
    """
    import torch

    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "mps":
        return torch.float32  # not measured there yet
    return getattr(torch, autotune(user_cache()).dtype)


def choose_inference_dtype(trained: str, device: torch.device) -> torch.dtype:
    """Return the dtype for running a trained model: that of training, unless this CPU would have to emulate it.

    On a CPU without bfloat16, each answer would take many times as long as in float32.
    """
    is_emulated = trained == "bfloat16" and device.type == "cpu" and not has_bfloat16_products()
    return choose_dtype("float32" if is_emulated else trained, device)


def way_to_finite_numbers(dtype: torch.dtype) -> str:
    """Return advice against divergence when training in a dtype."""
    is_widest = str(dtype) in ("torch.float32", "torch.float64")
    return f"Lower training.learning_rate{'' if is_widest else ', or try training.dtype=float32'}."


def flops_per_second(dtype: torch.dtype) -> float:
    """Measure the speed of this CPU in matrix products of a small model's size."""
    import torch

    left = torch.ones(MEASURED_ROWS, MEASURED_SHAPE[0], dtype=dtype)
    right = torch.ones(MEASURED_SHAPE[1], MEASURED_SHAPE[0], dtype=dtype).t()
    shortest, begin = math.inf, time.perf_counter()
    while time.perf_counter() - begin < MEASURED_SECONDS:
        start = time.perf_counter()
        left @ right
        # The minimum is the speed of the machine; longer times also include other load.
        shortest = min(shortest, time.perf_counter() - start)
    return 2 * MEASURED_ROWS * math.prod(MEASURED_SHAPE) / shortest


def available_memory_bytes() -> int:
    """Return the memory, in bytes, left on the machine or in this process's control group.

    A group's usage includes the page cache, which is reclaimed on demand, so that is added back.
    """
    left = [platforms.available_memory_bytes()]
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used, parts = (
            (group / name).read_text(encoding="ascii")
            for name in ("memory.max", "memory.current", "memory.stat")
        )
        of_files = sum(int(size) for part, size in map(str.split, parts.splitlines()) if part in OF_FILES)
        left.append(int(limit) - int(used) + of_files)
    return min(left)


def require_memory_for_libraries() -> None:
    """Raise MemoryExhaustedError if torch does not fit in memory; importing it could end the process."""
    left = platforms.address_space_left()
    if left < LIBRARIES_BYTES and "torch" not in sys.modules:
        raise MemoryExhaustedError(
            "device.out_of_memory",
            f"The libraries map {LIBRARIES_BYTES:,} bytes before a model is loaded, but a limit leaves this"
            f" process {left:,}. Raise the limit with `ulimit -v`, then run the same command again.",
        )


def is_out_of_memory(fault: BaseException) -> bool:
    """Return whether an exception means that memory has run out."""
    import torch

    return isinstance(fault, torch.OutOfMemoryError) or is_short_of_memory(fault)


def describe_environment(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return versions and hardware, without names of users, hosts or folders."""
    from importlib import metadata

    import torch

    versions = {
        name: metadata.version(name) for name in ("torch", "transformers", "peft", "tokenizers", "numpy")
    }
    return {
        "tutelage": __version__,
        "python": platform.python_version(),
        **versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": core_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": name_dtype(dtype),
        "bfloat16_products": "native" if device.type != "cpu" or has_bfloat16_products() else "emulated",
    }


def name_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
