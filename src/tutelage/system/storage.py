"""Write files and folders so that a crash or a power cut leaves either the old or the new version.

New content is staged beside its destination and synced to disk; a manifest with hashes is written last; then
one rename moves it into place, and the parent folder is synced. See docs/decisions/0021-publication.md.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tutelage.errors import StorageError
from tutelage.system.platforms import sync
from tutelage.system.system_errors import OUT_OF_SPACE, system_refusal

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1

# Errors that may be temporary, and the pauses before each retry.
PASSING = {errno.EIO, errno.EDQUOT, errno.EAGAIN, errno.EINTR, errno.ESTALE}
WAITS_SECONDS = (0.1, 0.4, 1.6)

# Temporary siblings of `name`: `.name.1a2b3c4d.part` (being written), `.old` (being replaced) and `.gone`.
STAGED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<what>part|old|gone)")

Result = TypeVar("Result")


def before_operation(operation: str, path: Path, to: Path | None = None) -> None:
    """Do nothing; tests replace this with a failpoint to count operations, fail one or kill the process."""


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn system errors from any library into one StorageError that names the file."""
    try:
        yield
    except Exception as fault:
        refusal = system_refusal(fault)
        if refusal is None:
            raise
        raise StorageError(
            "storage.write_failed",
            f"Could not write {path}: {refusal.strerror or refusal}.{_room_at(path, refusal)}"
            " Check the free space and the permissions there, then run the same command again.",
            path=path,
        ) from refusal


def _room_at(path: Path, fault: OSError) -> str:
    if fault.errno not in OUT_OF_SPACE:
        return ""
    return f" {free_bytes(path):,} bytes are free there."


def free_bytes(path: Path) -> int:
    """Return the free space, in bytes, at a path that may not exist yet."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def is_out_of_space(fault: BaseException) -> bool:
    """Return whether an exception, or its cause, is a full disk or an exceeded quota."""
    cause = fault.__cause__ if isinstance(fault, StorageError) else fault
    return isinstance(cause, OSError) and cause.errno in OUT_OF_SPACE


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place, so that readers never see half of it."""

    def move_into_place() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = _beside(path, "part")
        try:
            _write(staged, content)
            _sync(staged)
            _rename(staged, path)
            _sync(path.parent)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise

    with storage_faults(path):
        retrying(move_into_place)


def retrying(operation: Callable[[], Result]) -> Result:
    """Run an operation, and retry it as a whole up to three times after errors that may be temporary.

    It is retried as a whole, because after a failed sync the system may have dropped unwritten data.
    """
    for wait in WAITS_SECONDS:
        try:
            return operation()
        except (OSError, StorageError) as fault:
            cause = fault.__cause__ if isinstance(fault, StorageError) else fault
            if not isinstance(cause, OSError) or cause.errno not in PASSING:
                raise
            time.sleep(wait)
    return operation()


def replace_folder(destination: Path, fill: Callable[[Path], None]) -> None:
    """Publish a folder that `fill` writes; after a temporary disk error it is filled again from scratch."""

    def move_into_place() -> None:
        with staged_folder(destination) as staged, storage_faults(destination):
            fill(staged)

    retrying(move_into_place)


@contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success, add a manifest and replace `destination` with it.

    At any time, either the old or the new folder is complete; the old one is deleted last. If `destination` is
    a link, only the link is replaced, and its target stays.
    """
    with storage_faults(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        staged = _beside(destination, "part")
        _make_folder(staged)
    try:
        yield staged
        with storage_faults(destination):
            _make_readable_by_others(staged)
            _sync_contents(staged)
            _write(staged / MANIFEST, _manifest_of(files_with_hashes(staged)))
            _sync(staged / MANIFEST)
            _sync(staged)
            _swap(staged, destination)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _make_readable_by_others(folder: Path) -> None:
    """Set permissions according to the umask; safetensors creates files that only the owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o755 if path.is_dir() else 0o644) & ~mask)


def _sync_contents(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync(path)


def _manifest_of(files: dict[str, dict[str, int | str]]) -> bytes:
    record = {"format": MANIFEST_FORMAT, "files": files}
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def files_with_hashes(folder: Path) -> dict[str, dict[str, int | str]]:
    """Return {path: size and SHA-256} for every file in a folder except its manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in files
        if path != folder / MANIFEST
    }


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_damage(folder: Path) -> str | None:
    """Describe how a published folder differs from its manifest, or return None if it does not."""
    odd = [path for path in sorted(folder.rglob("*")) if not _is_plain(path)]
    if odd:
        return f"{odd[0].relative_to(folder).as_posix()} is not a regular file"
    try:
        content, found = (folder / MANIFEST).read_bytes(), files_with_hashes(folder)
        manifest = json.loads(content)
    except FileNotFoundError as fault:
        return f"{Path(str(fault.filename)).name} is missing"
    except OSError as fault:
        return f"{Path(str(fault.filename or MANIFEST)).name} cannot be read: {fault.strerror or fault}"
    except (ValueError, RecursionError) as fault:
        return f"{MANIFEST} cannot be read: {fault}"
    if content == _manifest_of(found):
        return None
    named = manifest.get("files") if isinstance(manifest, dict) else None
    return _difference(found, named) if isinstance(named, dict) else f"{MANIFEST} lists no files"


def _is_plain(path: Path) -> bool:
    """Return whether a path is a regular file or folder, not a link or a pipe."""
    return not path.is_symlink() and (path.is_file() or path.is_dir())


def _difference(found: dict[str, dict[str, int | str]], named: dict[str, Any]) -> str:
    for name in sorted({*named, *found}):
        if name not in found:
            return f"{name} is missing"
        if name not in named:
            return f"{name} is not listed in {MANIFEST}"
        if found[name] != named[name]:
            return f"{name} does not match its checksum in {MANIFEST}"
    return f"{MANIFEST} has changed since it was written"


def _swap(staged: Path, destination: Path) -> None:
    if not os.path.lexists(destination):
        _rename(staged, destination)
        _sync(destination.parent)
        return
    old = _beside(destination, "old")
    _rename(destination, old)
    try:
        _rename(staged, destination)
    except BaseException:
        _rename(old, destination)
        raise
    _sync(destination.parent)
    if old.is_symlink():
        _unlink(old)
    else:
        _remove_tree(old)


def move_aside(path: Path, destination: Path) -> Path:
    """Move a folder to `destination`, or add the first free number to its name; return the new path."""
    with storage_faults(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        places = (destination.with_name(f"{destination.name}-{number}") for number in range(2, 10_000))
        free = (
            destination if not destination.exists() else next(place for place in places if not place.exists())
        )
        _rename(path, free)
        _sync(free.parent)
        _sync(path.parent)
    return free


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents; nothing is ever half removed under its own name."""
    with storage_faults(path):
        if path.is_symlink() or not path.is_dir():
            retrying(lambda: _unlink(path))
            return
        gone = _beside(path, "gone")

        def set_aside() -> None:
            _rename(path, gone)
            try:
                _sync(path.parent)  # otherwise a power cut could restore the name but not the files
            except BaseException:
                gone.rename(path)
                raise

        retrying(set_aside)
        retrying(lambda: _remove_tree(gone))


def clean_up(folder: Path) -> None:
    """Remove what a crash left in a folder, and restore what was being replaced.

    Call it only with the folder's lock held, because another process may be staging there.
    """
    with storage_faults(folder):
        left = [(path, match) for path in sorted(folder.iterdir()) if (match := STAGED.fullmatch(path.name))]
        for path, match in left:
            place = folder / match["name"]
            if match["what"] == "old" and not os.path.lexists(place):
                _rename(path, place)
                _sync(folder)
            elif path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                _unlink(path)


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}.{what}")


def _make_folder(path: Path) -> None:
    before_operation("make", path)
    path.mkdir()


def _write(path: Path, content: bytes) -> None:
    before_operation("write", path)
    path.write_bytes(content)


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    before_operation("sync", path)
    sync(path)


def _rename(path: Path, to: Path) -> None:
    before_operation("rename", path, to)
    path.replace(to)  # like rename, but also replaces files on Windows


def _unlink(path: Path) -> None:
    before_operation("unlink", path)
    path.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    before_operation("remove", folder)
    shutil.rmtree(folder, ignore_errors=True)
