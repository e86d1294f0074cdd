"""Every write of a run: files and folders are published so that a crash or a power cut leaves the old or the new.

What is new is staged beside its place and synced to the disk; a manifest with its hashes is written last; then one
rename moves it to its place, and the folder above is synced. docs/decisions/0021-publication.md says why.
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

# Faults that may pass by themselves, and how long each further try waits.
PASSING = {errno.EIO, errno.EDQUOT, errno.EAGAIN, errno.EINTR, errno.ESTALE}
WAITS_SECONDS = (0.1, 0.4, 1.6)

# Beside a place `name` stand for a while `.name.1a2b3c4d.part` (being filled), `.old` (being replaced) and `.gone`.
STAGED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<what>part|old|gone)")

Result = TypeVar("Result")


def before_operation(operation: str, path: Path, to: Path | None = None) -> None:
    """Do nothing; tests put a failpoint here, which counts the operations, fails one, or ends the process before it."""


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one message that names the file, whichever library heard of them."""
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
    """Return the free space where a path is or will be."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def is_out_of_space(fault: BaseException) -> bool:
    """Tell whether a fault, or what it came from, is a full disk or a quota."""
    cause = fault.__cause__ if isinstance(fault, StorageError) else fault
    return isinstance(cause, OSError) and cause.errno in OUT_OF_SPACE


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file beside its place, then move it there, so that no reader ever sees half of it."""

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
    """Return what the operation gives; where the disk's fault may pass, try it three times more, as a whole.

    As a whole, because after a failed sync the system may have forgotten which bytes were not written.
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
    """Publish a folder that `fill` writes; where the disk's fault may pass, it is filled again from the beginning."""

    def move_into_place() -> None:
        with staged_folder(destination) as staged, storage_faults(destination):
            fill(staged)

    retrying(move_into_place)


@contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when that went well, it gets a manifest and takes the place of `destination`.

    Whatever happens in between, either the old folder or the new one is whole; the old one is deleted last. A link to a
    folder is replaced itself: what it leads to is not ours to delete.
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
    """Let others read as far as the umask allows; safetensors makes files for the owner alone."""
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
    """Return size and SHA-256 of every file under a folder but its manifest, by its path in the folder."""
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
    """Say in which way a published folder differs from its manifest, or None where it is as it was published."""
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
    """Tell whether it is what is published: no link, whose bytes others keep, and no pipe, which has no end."""
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
    """Move a folder under `destination`, or where that is taken under the first free number after it; return where."""
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
    """Remove a file, a link, or a folder with all that is in it; what has the name is never half removed."""
    with storage_faults(path):
        if path.is_symlink() or not path.is_dir():
            retrying(lambda: _unlink(path))
            return
        gone = _beside(path, "gone")

        def set_aside() -> None:
            _rename(path, gone)
            try:
                _sync(path.parent)  # or files could be gone after a power cut while the name is back
            except BaseException:
                gone.rename(path)
                raise

        retrying(set_aside)
        retrying(lambda: _remove_tree(gone))


def clean_up(folder: Path) -> None:
    """Clear away what a crash left staged in a folder, and put back what it was replacing.

    Only for the owner of the folder's lock, for another process may be staging there.
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
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    before_operation("sync", path)
    sync(path)


def _rename(path: Path, to: Path) -> None:
    before_operation("rename", path, to)
    path.replace(to)  # rename, but Windows renames nothing onto a file


def _unlink(path: Path) -> None:
    before_operation("unlink", path)
    path.unlink(missing_ok=True)


def _remove_tree(folder: Path) -> None:
    before_operation("remove", folder)
    shutil.rmtree(folder, ignore_errors=True)
