"""Does what README.md and the guide's first page say, as somebody who has just found the project would.

    python tests/stranger/run.py           # in a temporary folder, which is removed
    python tests/stranger/run.py FOLDER    # in that folder, which is kept

The commands run in one shell, in a clone of what is committed here, with a home and a cache of their own and without
extras. A command that has no rule, or fails, ends it with 1.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rules import RULES, rule_for, shown_commands

CHECKOUT = Path(__file__).parents[2]
# What would let a stranger's command find what this machine has besides.
OWN = ("PYTHON", "VIRTUAL_ENV", "TUTELAGE_", "HF_", "TRANSFORMERS_", "XDG_", "MAKE", "MFLAGS", "CONDA")


def main(place: Path) -> int:
    """Run all commands in their order; return the exit code."""
    commands = shown_commands(CHECKOUT)
    unknown = [command for command in commands if command not in RULES]
    if unknown:
        print("\n".join(["These commands are shown and never run; give each a rule:", *unknown]))
        return 1
    began = time.monotonic()
    code = subprocess.run(
        ["bash", "-c", script(commands)], cwd=place, env=environment(place), check=False
    ).returncode
    print(f"{len(commands)} commands, {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
    return 1 if code else 0


def script(commands: list[str]) -> str:
    """Return what a shell runs, each line of it shown before."""
    lines = ["set -euo pipefail"]
    for command in commands:
        rule = rule_for(command)
        if rule.left_out:
            lines.append(f"printf '%s\\n' {quoted(f'-- left out, {rule.left_out}: {command}')}")
            continue
        lines.append(f"printf '%s\\n' \"[$SECONDS s]\" {quoted(f'$ {command}')}")
        lines.append(rule.run or command)
    return "\n".join(lines)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def environment(place: Path) -> dict[str, str]:
    """Return this process's environment with another home, and without what was set for this checkout."""
    home = place / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return kept | {"HOME": str(home), "CHECKOUT": str(CHECKOUT), "PIP_NO_INPUT": "1"}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        sys.exit(main(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(Path(folder)))
