"""What a judge has cost so far, on disk before each try is sent, so that a killed command keeps what it has spent."""

import hashlib
from fractions import Fraction
from pathlib import Path

from tutelage.system.storage import storage_faults


class SpentLedger:
    """The sum of a command's costs, a line for each change, the last whole line counting; closed by a command's end.

    A command that finds the file of one that was cut short goes on with its sum, `spent_before`.
    """

    def __init__(self, folder: Path, *fingerprint: str) -> None:
        name = hashlib.sha256("\n".join(fingerprint).encode()).hexdigest()[:32]
        self._path = folder / f"{name}.spent"
        self.spent_before = _last_sum(self._path)

    def write(self, spent: Fraction) -> None:
        with storage_faults(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{spent}\n")

    def close(self) -> None:
        with storage_faults(self._path):
            self._path.unlink(missing_ok=True)


def _last_sum(path: Path) -> Fraction:
    """Return the last sum of the file; a line that a crash cut short was of a try that was never sent."""
    if not path.exists():
        return Fraction(0)
    with storage_faults(path):
        lines = path.read_text(encoding="ascii", errors="replace").split("\n")[:-1]
    for line in reversed(lines):
        try:
            return Fraction(line)
        except (ValueError, ZeroDivisionError):
            continue
    return Fraction(0)
