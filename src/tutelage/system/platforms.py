"""What Linux, macOS and Windows do differently, decided here and nowhere else.

A thing that a system may lack is looked up by its own name, not by the name of the system, so that a test can take it
away. docs/decisions/0047-platforms-and-packaging.md says what was run where.
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

# Ctrl-C, what a service manager sends, a closed terminal, and on Windows Ctrl-Break or a closed window.
ENDING_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
CLOSED_TERMINAL: int | None = getattr(signal, "SIGHUP", None)

IS_WINDOWS = os.name == "nt"

# Of a pipe or a socket that nobody reads any more, and of a descriptor that was never open for writing.
READER_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, *((errno.EINVAL,) if IS_WINDOWS else ()))

# For os.open, which else would write where a link leads.
FOLLOW_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

HOME_VARIABLE = "USERPROFILE" if IS_WINDOWS else "HOME"

# For subprocess: Ctrl-C in the terminal is for the process that started this one.
APART_FROM_TERMINAL: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if IS_WINDOWS
    else {"start_new_session": True}
)

SECONDS_BETWEEN_LOOKS = 0.05


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk; Windows opens no folder."""
    opens_folders = hasattr(os, "O_DIRECTORY")
    if not opens_folders and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if opens_folders else os.O_RDWR)  # Windows syncs what can be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_file(place: Path, target: Path) -> None:
    """Let `place` name a file as well: by a link, or a copy where the system or its owner allows none."""
    for way in (place.symlink_to, place.hardlink_to):
        with suppress(OSError, NotImplementedError):
            way(target)
            return
    shutil.copyfile(target, place)


def is_child_of(parent: int) -> Callable[[], bool]:
    """Return what tells whether the process that began this one is still there."""
    if not IS_WINDOWS:
        return lambda: os.getppid() == parent  # an orphan gets another parent
    import psutil

    try:
        began = psutil.Process(parent)
    except psutil.NoSuchProcess:
        return lambda: False
    return began.is_running  # which is not misled by another process that got its number later


def c_library() -> Any:
    """Return the C library of this process, None where it cannot be had by itself."""
    try:
        return ctypes.CDLL(None)
    except TypeError:  # on Windows
        return None


def memory_bytes() -> int:
    """Return the resident size of this process."""
    import psutil

    return psutil.Process().memory_info().rss


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far, or the present one where the system keeps no record."""
    resource = _resource()
    if resource is not None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    import psutil

    sizes = psutil.Process().memory_info()
    return getattr(sizes, "peak_wset", sizes.rss)


def available_memory_bytes() -> int:
    """Return what the machine has left for processes."""
    import psutil

    return psutil.virtual_memory().available


def address_space_left() -> float:
    """Return how many bytes more this process may map; Linux alone refuses them (`ulimit -v`)."""
    resource = _resource()
    if resource is None or sys.platform != "linux":
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    import psutil

    return limit - psutil.Process().memory_info().vms


def most_open_files() -> float:
    """Return how many files and connections this process may have open at once."""
    resource = _resource()
    if resource is None:
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def bound_this_process(*, seconds: int, memory: int, exceeded: Callable[[], None]) -> None:
    """End this process before it takes more time of the processor or bytes of memory.

    Only Linux refuses it the memory; elsewhere a thread looks, and calls `exceeded`, which has to end the process.
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
