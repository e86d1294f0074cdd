"""The command line in this process: what it printed and with which code it left."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tutelage.cli import main as command_line


@dataclass(frozen=True)
class Outcome:
    """code: the exit code; out and err: what stood on standard output and standard error."""

    code: Any
    out: str
    err: str


class CommandLine:
    """Runs verbs and keeps their output apart."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Outcome:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_line.main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Outcome(left.value.code or 0, captured.out, captured.err)


def contents(folder: Path) -> MappingProxyType[str, bytes | None]:
    """Return every path under a folder with its bytes; None for folders."""
    return MappingProxyType(
        {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }
    )
