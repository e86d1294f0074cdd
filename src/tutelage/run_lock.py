"""One process at a time writes into a run folder; who comes second is told who is there."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tutelage.errors import RunFolderError
from tutelage.run_folder import RunFolder
from tutelage.storage import sweep


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Make the folder where it is not there, keep others out of it, and clear up what a crash left in it.

    The system frees the lock of a process that has ended, however it ended. Of a process on another machine, which may
    share the folder, that is not known; then the lock stays until a person removes it.
    """
    with locked_folder(run.root, run.lock):
        for folder in (run.root, run.checkpoints, run.evaluations_at):
            if folder.is_dir():
                sweep(folder)
        yield


@contextmanager
def locked_folder(root: Path, lock: Path) -> Iterator[None]:
    """Make a folder where it is not there, and keep others out of it by a lock in it; nothing is cleared up."""
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    handle = _take(root, lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is freed, so that nobody gets a lock on a file that is gone
        os.close(handle)
        with suppress(OSError):  # they hold something now
            for folder in made:
                folder.rmdir()


def _take(root: Path, lock: Path) -> int:
    own = f"process {os.getpid()} on {platform.node()}"
    while True:
        handle = _open(root, lock)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(handle)
            os.close(handle)
            raise RunFolderError(
                "run.locked",
                f"{root} is being written by {owner or 'another process'}. Wait until it has ended, or choose"
                " another --output.",
            ) from None
        if not _is_same_file(handle, lock):  # its owner removed it just now
            os.close(handle)
            continue
        owner = _owner(handle)
        if owner and not owner.endswith(f" on {platform.node()}"):
            os.close(handle)
            raise RunFolderError(
                "run.locked_elsewhere",
                f"{root} was being written by {owner}, another machine, and nothing here can tell whether it"
                f" still is. If it is not, remove {lock} and give the same command again.",
            )
        os.truncate(handle, 0)
        os.pwrite(handle, own.encode(), 0)
        return handle


def _open(root: Path, lock: Path) -> int:
    try:
        root.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as fault:
        raise RunFolderError(
            "run.not_writable",
            f"{root} cannot be written: {fault.strerror or fault}. Change its permissions, or choose"
            " another --output.",
        ) from fault


def _owner(handle: int) -> str:
    return os.pread(handle, 300, 0).decode(errors="replace")


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
