"""Models of the Hugging Face hub: fetched without code and pickles, and compared with the hashes that name their files.

The hub's client keeps each file as a blob whose name is its hash: SHA-256 of a large file, git's SHA-1 of a small one.
It never compares the two again.
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
    """Return the folder of a model of the hub, fetching what is not on this machine; FetchError if it cannot."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - a second that --help must not take

    progress(f"Looking for {name} on the Hub; files that are already here are not downloaded again.")
    with suppress(
        Exception
    ):  # a size that cannot be learnt stops nothing; the fetch itself says what is wrong
        files = snapshot_download(name, revision=revision, **WANTED, dry_run=True)
        missing = [file for file in files if file.will_download]
        if missing:
            megabytes = sum(file.file_size or 0 for file in missing) / 1e6
            progress(f"Downloading {name} from the Hub, once: {len(missing)} files, {megabytes:,.0f} MB.")
    try:
        return Path(snapshot_download(name, revision=revision, **WANTED))
    except Exception as fault:  # the hub's client raises its own errors, its transport's and the system's
        raise FetchError(
            "model.not_found",
            f"{name} was not found locally or on the Hub: {type(fault).__name__}:"
            f" {last_meaningful_line(str(fault))}. Check the name, the network and HF_HUB_OFFLINE; a gated"
            " model requires a login; or set model.name_or_path to a local folder.",
        ) from fault


def kept_snapshot_of(name: str, revision: str | None) -> Path | None:
    """Return the folder of a model of the hub as it was last fetched, maybe in part; None where it never was."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - as above

    with suppress(
        Exception
    ):  # the client has errors of its own, and what is damaged is found when it is opened
        return Path(snapshot_download(name, revision=revision, local_files_only=True, **WANTED))
    return None


def files_unlike_their_names(files: Mapping[Path, str]) -> list[Path]:
    """Return the files, given with their SHA-256, that do not match the hash in the name of their blob."""
    return [path for path, sha256 in files.items() if not _matches(path.resolve(), sha256)]


def _matches(blob: Path, sha256: str) -> bool:
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name == sha256
    if re.fullmatch(r"[0-9a-f]{40}", blob.name):
        content = blob.read_bytes()
        # Git's own name of a file, which is no protection and needs none here.
        return (
            hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            == blob.name
        )
    return True


def fetch_again(name: str, folder: Path, files: Collection[Path], progress: Callable[[str], None]) -> None:
    """Fetch damaged files of a snapshot again, at the commit that the snapshot is named after."""
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
    """Return the line of a program's output that says most, without addresses, which may carry a password."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    last = (errors or lines or ["no reason was given"])[-1].removeprefix("ERROR: ").rstrip(".")
    return re.sub(r"\w+://\S+|host='[^']*'", "(address)", last)
