"""Differences between Linux, macOS and Windows, all in this module.

Features that a system may lack are detected by their own names, not by the name of the system, so that tests
can remove them. docs/decisions/0047-platforms-and-packaging.md says what was run where.
"""

import ctypes
import errno
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Ctrl-C, the signal of service managers, a closed terminal; on Windows Ctrl-Break or a closed window.
ENDING_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
CLOSED_TERMINAL: int | None = getattr(signal, "SIGHUP", None)

IS_WINDOWS = os.name == "nt"

# Errors of a pipe or socket without a reader, and of a descriptor that was not opened for writing.
READER_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, *((errno.EINVAL,) if IS_WINDOWS else ()))

# For os.open, which otherwise follows links when writing.
FOLLOW_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

HOME_VARIABLE = "USERPROFILE" if IS_WINDOWS else "HOME"

# For subprocess: Ctrl-C in the terminal only reaches the parent process.
APART_FROM_TERMINAL: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if IS_WINDOWS
    else {"start_new_session": True}
)

SECONDS_BETWEEN_LOOKS = 0.05


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk; on Windows, folders cannot be opened."""
    opens_folders = hasattr(os, "O_DIRECTORY")
    if not opens_folders and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if opens_folders else os.O_RDWR)  # Windows syncs only writable handles
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_file(place: Path, target: Path) -> None:
    """Make `place` another name for a file: a link, or a copy if links are not allowed."""
    for way in (place.symlink_to, place.hardlink_to):
        with suppress(OSError, NotImplementedError):
            way(target)
            return
    shutil.copyfile(target, place)


def is_child_of(parent: int) -> Callable[[], bool]:
    """Return a function that tells whether the parent process still exists."""
    if not IS_WINDOWS:
        return lambda: os.getppid() == parent  # an orphan gets another parent
    import psutil

    try:
        began = psutil.Process(parent)
    except psutil.NoSuchProcess:
        return lambda: False
    return began.is_running  # not confused by a later process with the same number


def c_library() -> Any:
    """Return the C library of this process, or None if it is not available."""
    try:
        return ctypes.CDLL(None)
    except TypeError:  # on Windows
        return None


def memory_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    import psutil

    return psutil.Process().memory_info().rss


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process, or the current one if the system does not record it."""
    resource = _resource()
    if resource is not None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    import psutil

    sizes = psutil.Process().memory_info()
    return getattr(sizes, "peak_wset", sizes.rss)


def available_memory_bytes() -> int:
    """Return the memory available to processes, in bytes."""
    import psutil

    return psutil.virtual_memory().available


def address_space_left() -> float:
    """Return how many more bytes this process may map; only Linux enforces a limit (`ulimit -v`)."""
    resource = _resource()
    if resource is None or sys.platform != "linux":
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    import psutil

    return limit - psutil.Process().memory_info().vms


def most_open_files() -> float:
    """Return how many files and connections this process may have open."""
    resource = _resource()
    if resource is None:
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def bound_this_process(*, seconds: int, memory: int, exceeded: Callable[[], None]) -> None:
    """Limit the CPU time and memory of this process.

    Only Linux enforces the memory limit; elsewhere a thread polls, and calls `exceeded`, which must end the
    process.
    """
    resource = _resource()
    if resource is not None:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if sys.platform == "linux":
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
                return

    def poll() -> None:
        while time.process_time() < seconds:
            if memory_bytes() > memory:
                exceeded()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=poll, daemon=True).start()


def _resource() -> Any:
    with suppress(ImportError):  # on Windows
        import resource

        return resource
    return None
