"""Does what README.md and the guide's first page say, as somebody who has just found the project would.

    python tests/stranger/run.py                    # in a temporary folder, which is removed
    python tests/stranger/run.py --folder FOLDER    # in that folder, which is kept
    python tests/stranger/run.py --extras           # and what needs no install, once more with all extras

The commands run in one shell, in a clone of what is committed here, with a home and a cache of their own and without
extras. What stands around the clone cannot be written, and root runs them as a user who owns nothing else. A command
that has no rule, or fails, ends it with 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rules import AS_SHOWN, EXTRAS, RULES, rule_for, shown_commands

CHECKOUT = Path(__file__).parents[2]
CLONE, HOME, SOURCE = "tutelage", "home", "source.git"  # what a stranger has; the last stands for the address
NOBODY = {"user": 65534, "group": 65534, "extra_groups": ()}
IS_NEW_ENOUGH = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
# What would let a stranger's command find what this machine has besides.
OWN = ("PYTHON", "VIRTUAL_ENV", "TUTELAGE_", "HF_", "TRANSFORMERS_", "XDG_", "MAKE", "MFLAGS", "CONDA")


def main(place: Path, *, with_extras: bool = False) -> int:
    """Run all commands in their order; return the exit code."""
    commands = shown_commands(CHECKOUT)
    unknown = [command for command in commands if command not in RULES]
    if unknown:
        print("\n".join(["These commands are shown and never run; give each a rule:", *unknown]))
        return 1
    began = time.monotonic()
    user = furnish(place)
    print(f"As {'another user' if user else 'this user'}, in {place}", flush=True)
    try:
        code = subprocess.run(
            ["bash", "-c", script(commands, with_extras=with_extras)],
            cwd=place,
            env=environment(place),
            check=False,
            **user,
        ).returncode
    finally:
        place.chmod(0o755)
    print(f"{len(commands)} commands, {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
    return 1 if code else 0


def furnish(place: Path) -> dict[str, Any]:
    """Put what a stranger has into a folder that cannot be written from then on; return who the stranger is."""
    # Linked files would be given away with the copy.
    subprocess.run(["git", "clone", "-q", "--bare", "--no-hardlinks", CHECKOUT, place / SOURCE], check=True)
    for name in (CLONE, HOME):
        (place / name).mkdir()
    place.chmod(0o555)
    if os.getuid() != 0 or not can_be(NOBODY, place):
        return {}
    for name in (CLONE, HOME, SOURCE):
        for path in (place / name, *(place / name).rglob("*")):
            shutil.chown(path, NOBODY["user"], NOBODY["group"])
    return NOBODY


def can_be(user: dict[str, Any], place: Path) -> bool:
    """Tell whether another user comes to a folder, and finds a Python there that is new enough."""
    try:
        python = ["python3", "-c", IS_NEW_ENOUGH]
        return subprocess.run(python, cwd=place, check=False, **user).returncode == 0
    except OSError:
        return False


def script(commands: list[str], *, with_extras: bool) -> str:
    """Return what a shell runs, each line of it shown before."""
    rules = [(command, rule_for(command)) for command in commands]
    rules += [(command, AS_SHOWN) for command in EXTRAS if with_extras]
    lines = ["set -euo pipefail"]
    for command, rule in rules:
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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return kept | {"HOME": str(place / HOME), "CHECKOUT": str(place / SOURCE), "PIP_NO_INPUT": "1"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--extras", action="store_true")
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True)
        sys.exit(main(given.folder.resolve(), with_extras=given.extras))
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(Path(folder), with_extras=given.extras))
