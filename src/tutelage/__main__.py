"""The program as a process: the command `tutelage`, and `python -m tutelage`."""

import atexit
import os
import signal
from types import FrameType
from typing import Any

from tutelage.errors import EXIT_INTERRUPTED
from tutelage.system.interruption import NOTHING_CHANGED
from tutelage.system.platforms import ENDING_SIGNALS


def main() -> None:
    """Run one command; a signal finds the process prepared from its first imports to its end.

    It ends without Python's own clearing up, which takes more than a second once torch is loaded.
    """
    _hear(_leave_before_the_command)
    from tutelage.cli.main import main as run_command  # noqa: PLC0415 - half a second in which a signal may come
    from tutelage.system.streams import give_up_the_rest  # noqa: PLC0415

    try:
        run_command()
    except SystemExit as left:
        _hear(signal.SIG_IGN)  # all is done, and said
        atexit._run_exitfuncs()
        give_up_the_rest()
        os._exit(left.code if isinstance(left.code, int) else 1)


def _hear(handler: Any) -> None:
    """Let a handler have the signals that end a process, but for those that the parent process ignores."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _leave_before_the_command(number: int, frame: FrameType | None) -> None:
    os.write(2, f"error[run.interrupted]: Interrupted. {NOTHING_CHANGED}\n".encode())
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
