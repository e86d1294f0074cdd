"""Convert each GGUF file once into a cache folder, and again if that folder is damaged."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tutelage.errors import ModelError
from tutelage.run.folder import write_json
from tutelage.system.storage import file_sha256, find_damage, staged_folder, storage_faults

# Increment when the result of a conversion changes, so that cached ones are redone.
CONVERSION = 2
RECORD, KEPT_GGUF = "source.json", "source.gguf"

HASHED_UNTOLD = 100_000_000  # bytes; hashing fewer takes less than about half a second

Notify = Callable[[str], None]


def convert_once(
    folder: Path,
    fingerprint: str,
    provide: Callable[[Path], Path],
    progress: Notify,
    *,
    checks: bool,
) -> None:
    """Fill `folder` by converting the GGUF file that `provide(scratch folder)` returns, unless it is already
    done.

    With `checks`, an existing conversion is compared with its checksums and redone if it differs.
    """

    def is_whole() -> bool:
        if not (has_all_files(folder, fingerprint) and checks):
            return has_all_files(folder, fingerprint)
        announce_hashing(progress, folder.iterdir())
        return not find_damage(folder)

    if is_whole():
        return
    with _one_at_a_time(folder), _scratch(folder) as scratch:
        if is_whole():  # another process converted it in the meantime
            return
        kept = folder / KEPT_GGUF
        is_kept = kept.is_file() and file_sha256(kept) == fingerprint
        if folder.is_dir():
            progress(f"{folder} does not match its checksums and will be converted again.")
        _convert(kept if is_kept else provide(scratch), fingerprint, folder, progress)


def _convert(gguf: Path, fingerprint: str, folder: Path, progress: Notify) -> None:
    from tutelage.model.gguf_conversion import convert_gguf  # noqa: PLC0415 - it imports torch

    megabytes = gguf.stat().st_size / 1e6
    progress(
        f"Converting {gguf.name} ({megabytes:,.0f} MB) to safetensors, once; 100 MB take about 15 seconds."
    )
    with staged_folder(folder) as staged:
        kept = staged / KEPT_GGUF
        with storage_faults(staged):
            shutil.copyfile(gguf, kept)
        # Hash and convert the copy: another program may write to the original in the meantime.
        if file_sha256(kept) != fingerprint:
            raise ModelError(
                "model.checksum_mismatch",
                f"{gguf} changed while it was read. Wait until no program writes it, then run the same"
                " command again.",
            )
        try:
            convert_gguf(kept, staged)
        except ModelError as fault:
            raise ModelError(fault.code, str(fault).replace(str(kept), str(gguf))) from fault
        files = {file.name: file.stat().st_size for file in staged.iterdir()}
        write_json(staged / RECORD, {"fingerprint": fingerprint, "conversion": CONVERSION, "bytes": files})


def announce_hashing(progress: Notify, files: Iterable[Path]) -> None:
    """Report that the files of the base model are about to be hashed, if that takes long."""
    size = sum(file.stat().st_size for file in files)
    if size > HASHED_UNTOLD:
        progress(f"Hashing the base model, {size / 1e6:,.0f} MB")


def has_all_files(folder: Path, fingerprint: str) -> bool:
    """Return whether `folder` is a conversion of that file by this version, with every file at its full length."""
    try:
        if not (folder / RECORD).is_file():  # reading a pipe would block forever
            return False
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return (record["fingerprint"], record["conversion"]) == (fingerprint, CONVERSION) and all(
            (folder / name).stat().st_size == size for name, size in record["bytes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Lock the folder, so that a second process waits for the conversion instead of replacing it."""
    with storage_faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder.parent / f".{folder.name}.lock").acquire()
    with held:
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    with storage_faults(folder):
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
