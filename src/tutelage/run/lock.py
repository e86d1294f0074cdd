"""Lock a run folder for one process at a time; others are told who holds it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout, UnixFileLock

from tutelage.errors import RunFolderError, StorageError
from tutelage.run.folder import RunFolder
from tutelage.system.platforms import FOLLOW_NO_LINK
from tutelage.system.storage import clean_up, storage_faults


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Create the folder if necessary, lock it, and clean up after a crash.

    The system releases the lock of a process on this machine when it ends. For a process on another machine
    that shares the folder, this is unknown, so the lock stays until a person removes it.
    """
    with locked_folder(run.root, run.lock):
        for folder in (run.root, run.checkpoints, run.evaluations_at):
            if folder.is_dir():
                clean_up(folder)
        yield


@contextmanager
def locked_folder(root: Path, lock: Path) -> Iterator[None]:
    """Create a folder if necessary, and lock it; nothing is cleaned up.

    There are two files, because Windows does not let anyone read a locked file: the second says who holds the
    lock.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    held = _take(root, lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        _free(held)
        with suppress(OSError):  # not empty any more
            for folder in made:
                folder.rmdir()


def held_beside(lock: Path) -> Path:
    """Return the file that is locked for the process named in `lock`."""
    return lock.with_name(f"{lock.name}.held")


def _take(root: Path, lock: Path) -> BaseFileLock:
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = FileLock(held_beside(lock))
        held.acquire(blocking=False)
    except Timeout:
        raise RunFolderError(
            "run.locked",
            f"{root} is being written by {owner_of(lock) or 'another process'}. Wait until it has finished,"
            " or choose another --output.",
        ) from None
    except OSError as fault:
        raise _not_writable(root, fault) from fault
    try:
        _sign(root, lock)
    except BaseException:
        _free(held)
        raise
    return held


def _sign(root: Path, lock: Path) -> None:
    owner = owner_of(lock)
    if owner and not owner.endswith(f" on {platform.node()}"):
        raise RunFolderError(
            "run.locked_elsewhere",
            f"{root} was being written by {owner}, another machine, and Tutelage cannot check whether it"
            f" still is. If it is not, remove {lock} and run the same command again.",
        )
    try:
        handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | FOLLOW_NO_LINK, 0o644)
    except OSError as fault:
        raise _not_writable(root, fault) from fault
    try:
        with storage_faults(root), os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"process {os.getpid()} on {platform.node()}")
    except StorageError:
        lock.unlink(missing_ok=True)
        raise


def owner_of(lock: Path) -> str:
    """Return the process and machine that hold a lock, or "" if unknown."""
    try:
        with lock.open("rb") as file:
            return file.read(300).decode(errors="replace")
    except OSError:
        return ""


def _free(held: BaseFileLock) -> None:
    if isinstance(held, UnixFileLock):  # other systems remove it themselves
        # Before it is released, so that nobody locks a file that is already gone.
        Path(held.lock_file).unlink(missing_ok=True)
    held.release()


def _not_writable(root: Path, fault: OSError) -> RunFolderError:
    return RunFolderError(
        "run.not_writable",
        f"{root} cannot be written: {fault.strerror or fault}. Change its permissions, or choose"
        " another --output.",
    )
