"""Fetch models from the Hugging Face Hub, without code or pickles, and verify them against the hashes in their
names.

The Hub client stores each file as a blob named after its hash: SHA-256 for large files, git's SHA-1 for small
ones. It never checks them again.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tutelage.errors import FetchError

WANTED: Mapping[str, Any] = {
    "allow_patterns": ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
    "ignore_patterns": ["*/*"],
}


def snapshot_of(name: str, revision: str | None, progress: Callable[[str], None]) -> Path:
    """Return the folder of a Hub model and download missing files; raise FetchError if that fails."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - a second that --help must not take

    progress(f"Looking for {name} on the Hub; files that are already here are not downloaded again.")
    with suppress(Exception):  # only a size for the message; real problems show in the download below
        files = snapshot_download(name, revision=revision, **WANTED, dry_run=True)
        missing = [file for file in files if file.will_download]
        if missing:
            megabytes = sum(file.file_size or 0 for file in missing) / 1e6
            progress(f"Downloading {name} from the Hub, once: {len(missing)} files, {megabytes:,.0f} MB.")
    try:
        return Path(snapshot_download(name, revision=revision, **WANTED))
    except Exception as fault:  # errors of the Hub client, its transport, and the system
        raise FetchError(
            "model.not_found",
            f"{name} was not found locally or on the Hub: {type(fault).__name__}:"
            f" {last_meaningful_line(str(fault))}. Check the name, the network and HF_HUB_OFFLINE; a gated"
            " model requires a login; or set model.name_or_path to a local folder.",
        ) from fault


def kept_snapshot_of(name: str, revision: str | None) -> Path | None:
    """Return the folder of a Hub model as last downloaded, possibly incomplete; None if it never was."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - as above

    with suppress(Exception):  # the client has its own errors; damage is found when the files are opened
        return Path(snapshot_download(name, revision=revision, local_files_only=True, **WANTED))
    return None


def files_unlike_their_names(files: Mapping[Path, str]) -> list[Path]:
    """Return the files whose SHA-256, given as values, does not match the hash in the name of their blob."""
    return [path for path, sha256 in files.items() if not _matches(path.resolve(), sha256)]


def _matches(blob: Path, sha256: str) -> bool:
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name == sha256
    if re.fullmatch(r"[0-9a-f]{40}", blob.name):
        content = blob.read_bytes()
        # Git's name for a file; it is not used as protection here.
        return (
            hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            == blob.name
        )
    return True


def fetch_again(name: str, folder: Path, files: Collection[Path], progress: Callable[[str], None]) -> None:
    """Download damaged files of a snapshot again, at the commit that names the snapshot."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - as above

    names = sorted(file.name for file in files)
    progress(f"{', '.join(names)} of {name} does not match its checksum; downloading it again.")
    try:
        snapshot_download(name, revision=folder.name, allow_patterns=names, force_download=True)
    except Exception as fault:
        raise FetchError(
            "model.checksum_mismatch",
            f"{', '.join(names)} in {folder} does not match its checksum, and could not be downloaded again:"
            f" {type(fault).__name__}: {last_meaningful_line(str(fault))}. Check the network and"
            f" HF_HUB_OFFLINE, or delete {folder} and run the same command again.",
        ) from fault


def last_meaningful_line(text: str) -> str:
    """Return the most informative line of a program's output, without URLs, which may contain a password."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    last = (errors or lines or ["no reason was given"])[-1].removeprefix("ERROR: ").rstrip(".")
    return re.sub(r"\w+://\S+|host='[^']*'", "(address)", last)
