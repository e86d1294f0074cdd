"""Draws Vega-Lite charts as SVG in a process of its own: where the memory is short, its engine ends the whole process.

Run by its name, this file is that process: one chart a line as JSON, and one reply.
"""

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from typing import Any

from tutelage.errors import MemoryExhaustedError


def draw_svg(chart: dict[str, Any]) -> str:
    """Return a chart as SVG; MemoryExhaustedError where the memory does not hold its drawing."""
    process = _process(os.getpid())  # a fork must not share the pipes of its parent
    try:
        process.stdin.write(json.dumps(chart) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except (BrokenPipeError, ValueError):
        line = ""
    if not line:
        _process.cache_clear()
        code = process.wait()
        raise MemoryExhaustedError(
            "device.out_of_memory",
            f"The charts of the report could not be drawn: their process ended with exit code {code},"
            " probably because memory ran out. Close other programs, then run `tutelage report` on the run"
            " folder.",
        )
    reply = json.loads(line)
    if "fault" in reply:
        raise RuntimeError(reply["fault"])
    return reply["svg"]


@cache
def _process(_: int) -> Any:
    process: Any = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    atexit.register(_end, process)
    return process


def _end(process: Any) -> None:
    with suppress(OSError):
        process.stdin.close()  # upon which it ends
    process.wait()


def serve() -> None:
    """Answer until there are no more charts."""
    import vl_convert  # noqa: PLC0415 - here alone, for it takes its memory at import

    with os.fdopen(0, encoding="utf-8") as charts, os.fdopen(1, "w", encoding="utf-8") as responses:
        for line in charts:
            try:
                reply = {"svg": vl_convert.vegalite_to_svg(json.loads(line), allowed_base_urls=[])}
            except Exception as fault:
                reply = {"fault": f"{type(fault).__name__}: {fault}"}
            responses.write(json.dumps(reply) + "\n")
            responses.flush()


if __name__ == "__main__":
    serve()
