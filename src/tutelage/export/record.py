"""verification.json: what each export that is in its place was found to be, and the checksums of its files."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.errors import RunFolderError
from tutelage.export.verification import ExportComparison
from tutelage.run.folder import VERIFICATION, read_json, write_json
from tutelage.system.storage import MANIFEST, file_sha256


@dataclass(frozen=True)
class Exported:
    """One export that is in its place."""

    target: str
    format: str
    folder: Path
    size_bytes: int
    verified_with: str
    comparison: ExportComparison


def record(folder: Path, exported: Exported, *, is_checked: bool) -> None:
    """Add one export in a folder to its verification.json, and keep what it says of those that are still there."""
    path = folder / VERIFICATION
    before = _recorded(path) if path.exists() else {}
    files = {
        str(file.relative_to(exported.folder)): file_sha256(file)
        for file in sorted(exported.folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    told = asdict(replace(exported.comparison, evidence=[]))
    told.pop("evidence")
    told.pop("mismatch")
    entry = {
        "format": exported.format,
        "size_bytes": exported.size_bytes,
        "verified_with": exported.verified_with,
        **told,
        "checksums": "verified" if is_checked else "skipped",
        "sha256": files,
    }
    kept = {name: value for name, value in before.items() if (folder / name).exists()}
    write_json(path, kept | {exported.target: entry})


def _recorded(path: Path) -> dict[str, Any]:
    """Return what verification.json says; where it is damaged nothing, and an export proves itself anew."""
    try:
        before = read_json(path)
    except RunFolderError:
        return {}
    return before if isinstance(before, dict) else {}
