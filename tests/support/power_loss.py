"""What a disk may hold after a power cut, built from the recorded operations of the storage layer.

Until a file is synced its bytes may be missing, cut short or zero; until a folder is synced each of its changed names
may or may not have come through, in any order. That is more than most file systems lose (Pillai et al., OSDI 2014).
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from unittest.mock import patch

from tutelage.system import storage


@dataclass(frozen=True)
class Operation:
    """One call of the storage layer; `files` are the contents under the path when it was called."""

    name: str
    path: Path
    to: Path | None
    files: dict[Path, bytes]
    promised: int


@dataclass
class Recorder:
    """Records every operation under a folder while it is entered."""

    root: Path
    operations: list[Operation] = field(default_factory=list)
    promised: int = 0

    def mark(self, step: int) -> None:
        """Say that from here on a power cut must leave this step."""
        self.promised = step
        self._record("mark", self.root)

    def _record(self, name: str, path: Path, to: Path | None = None) -> None:
        under = [path] if path.is_file() else path.rglob("*") if path != self.root else []
        files = {file.relative_to(self.root): file.read_bytes() for file in under if file.is_file()}
        target = to.relative_to(self.root) if to else None
        self.operations.append(Operation(name, path.relative_to(self.root), target, files, self.promised))

    def __enter__(self) -> "Recorder":
        self._patch = patch.object(storage, "before_operation", self._record)
        self._patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patch.stop()


@dataclass
class _Disk:
    """Files by their path; the synced ones are as they were written, of the others anything may be left."""

    files: dict[Path, bytes] = field(default_factory=dict)
    synced: set[Path] = field(default_factory=set)
    folders_synced: set[Path] = field(default_factory=set)


def after_a_power_cut(recorder: Recorder, place: Path, chance: random.Random) -> int:
    """Build in `place` a state after a cut before one operation; return the step that was promised by then."""
    end = chance.randrange(len(recorder.operations)) + 1
    done = recorder.operations[: end - 1]
    disk = _Disk()
    for index, operation in enumerate(done):
        _apply(disk, operation, later=done[index + 1 :], chance=chance)
    place.mkdir()
    for path, content in disk.files.items():
        left = content if path in disk.synced else _torn(content, chance)
        if left is None or not _names_survive(disk, path, chance):
            continue
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(left)
    return recorder.operations[end - 1].promised


def _apply(disk: _Disk, operation: Operation, *, later: list[Operation], chance: random.Random) -> None:
    """Let one operation come through, or get lost where no later sync of its folder holds it."""
    path, parent = operation.path, operation.path.parent
    if operation.name == "sync" and operation.files and path in operation.files:
        disk.files[path] = operation.files[path]
        disk.synced.add(path)
    elif operation.name == "sync":
        disk.folders_synced.add(path)
    elif operation.name in ("rename", "remove", "unlink"):
        disk.files.update(
            {file: content for file, content in operation.files.items() if file not in disk.files}
        )
        is_held = any(other.name == "sync" and other.path == parent for other in later)
        if operation.name != "remove" and not is_held and chance.random() < 0.5:
            return
        for file in [file for file in disk.files if file == path or path in file.parents]:
            content = disk.files.pop(file)
            if operation.name == "remove" and not is_held and chance.random() < 0.5:
                disk.files[file] = content
            elif operation.to is not None:
                moved = operation.to / file.relative_to(path)
                disk.files[moved] = content
                if file in disk.synced:
                    disk.synced.add(moved)
        disk.folders_synced |= {
            operation.to / folder.relative_to(path)
            for folder in set(disk.folders_synced)
            if operation.to is not None and (folder == path or path in folder.parents)
        }


def _torn(content: bytes, chance: random.Random) -> bytes | None:
    kind = chance.randrange(4)
    return (None, content[: len(content) // 2], bytes(len(content)), content)[kind]


def _names_survive(disk: _Disk, path: Path, chance: random.Random) -> bool:
    """Tell whether a file is still found: its name is lost where its own folder was never synced, perhaps."""
    return path.parent in disk.folders_synced or path.parent == Path() or chance.random() < 0.5
