"""Interpret model.name_or_path: the default model, a folder, a GGUF file, or a Hub id."""

import re
from pathlib import Path

from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.errors import ModelError
from tutelage.text.spelling import did_you_mean, nearest

HUB_ID = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9][A-Za-z0-9._/-]{0,95})?"
)


def absolute_name(name: str, recorded: str | None = None) -> str:
    """Return the name under which a run records its model: an absolute path for a folder or file.

    Commands in other folders can then find it. A path that the run has `recorded` stays a path even if nothing
    is there any more; otherwise `models/my` would be looked up on the Hub.
    """
    if name == DEFAULT_MODEL:
        return name
    path = path_of(name)
    absolute = str(path.absolute())
    return absolute if path.exists() or absolute == recorded else name


def path_of(name: str) -> Path:
    """Return the name as a path; raise ModelError if the file system rejects it."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as fault:  # too long, or the home of an unknown user
        told = getattr(fault, "strerror", None) or str(fault).rstrip(".")
        raise ModelError(
            "model.malformed_path", f"model.name_or_path is not a valid path: {told}. Fix it."
        ) from fault
    return path


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and path.is_file()


def is_hub_id(name: str) -> bool:
    return bool(HUB_ID.fullmatch(name)) and not name.lower().endswith(".gguf")


def require_file_or_folder(path: Path) -> None:
    """Raise ModelError if the path is a pipe, a socket, a device or another kind of file."""
    if path.exists():
        what = "a file but not GGUF" if path.is_file() else "a pipe, a socket or a device"
        raise ModelError(
            "model.not_a_file_or_folder",
            f"model.name_or_path is `{path}`, which is {what}. Set it to a model's folder or GGUF file.",
        )


def what_was_tried(name_or_path: str) -> str:
    """Return the message for an unknown name, with a suggestion."""
    near = nearest(name_or_path, [DEFAULT_MODEL], cutoff=0.5)
    meant = did_you_mean(near and f"`{near}`")
    return (
        f"model.name_or_path is `{name_or_path}`: not the default model's name (`{DEFAULT_MODEL}`), an"
        f" existing folder or GGUF file, or a hub id like `owner/name` or `owner/name@commit`.{meant} Fix"
        " it."
    )
