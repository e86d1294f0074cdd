"""Child processes that must not outlive this one.

Run by name, this module is such a process, and runs a script of another package.
"""

import os
import runpy
import shutil
import sys
import threading
import time
from pathlib import Path

from tutelage.errors import MemoryExhaustedError
from tutelage.system.platforms import is_child_of
from tutelage.system.system_errors import is_memory_message

SECONDS_BETWEEN_LOOKS = 0.5
KILLED = -9  # exit code of a process that Linux killed, usually for lack of memory


def end_with_parent(parent: int, scratch: Path | None = None) -> None:
    """End this process and remove its folder once `parent` is gone, as nobody will read its results."""
    has_parent = is_child_of(parent)

    def poll() -> None:
        while has_parent():  # the parent may already be gone
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=poll, daemon=True).start()


def script_command(script: Path) -> list[str]:
    """Return a command, to be extended with arguments, that runs a script in such a child process."""
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), str(script)]


def raise_if_out_of_memory(code: int, said: str) -> None:
    """Raise MemoryExhaustedError if the process that verified an export ran out of memory."""
    if code == KILLED or is_memory_message(said):
        raise MemoryExhaustedError(
            "device.out_of_memory",
            "Out of memory while verifying the export, so it was not published. Close other programs, then"
            " export it again.",
        )


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
