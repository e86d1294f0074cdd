"""Find the GGUF file for llama.cpp: exported from this run, verified, and unchanged since."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.errors import RunFolderError
from tutelage.generation.llama_cpp import is_installed
from tutelage.run.folder import VERIFICATION, gguf_name, read_json
from tutelage.system.extras import install_command
from tutelage.system.storage import file_sha256

UNROUNDED = ("f32", "f16")  # verified to give the run's answers; other formats only approximate them


@dataclass(frozen=True)
class VerifiedFile:
    """A GGUF file, its weight format, and how many greedy answers matched the run's in verification."""

    path: Path
    format: str
    answers_equal: int
    prompts: int


def verified_file(exports: Path, run: str) -> VerifiedFile | str:
    """Return the verified GGUF file of a run, or the reason why there is none."""
    gguf, verification = exports / "gguf", exports / VERIFICATION
    if not is_installed():
        return f"llama.cpp is not installed; install it with `{install_command('judges')}`"
    if not gguf.is_dir() or not verification.is_file():
        return f"there is no GGUF export; create one with `tutelage export {run} --to gguf`"
    try:
        found = read_json(verification)["gguf"]
        path = gguf / gguf_name(found["format"])
        file = VerifiedFile(path, found["format"], int(found["answers_equal"]), int(found["prompts"]))
        wrong = _what_is_wrong(file, found["verified_with"], found["sha256"][path.name])
    except (LookupError, TypeError, ValueError, OverflowError, RunFolderError):
        file, wrong = None, f"{verification} does not record which file was verified"
    if file is None or wrong is not None:
        return f"{wrong}; export it again with `tutelage export {run} --to gguf --overwrite`"
    return file


def _what_is_wrong(file: VerifiedFile, verified_with: str, sha256: str) -> str | None:
    if file.format not in UNROUNDED:
        return f"its weights are stored as {file.format}, so its answers only approximate the run's"
    if verified_with != "llama.cpp":
        return "its export was verified without llama.cpp"
    if not file.path.is_file() or file_sha256(file.path) != sha256:
        return f"{file.path} is not the file that was verified"
    return None
