"""Measure `tutelage check` on ordinary rows and on rows of one template: python -m benchmarks.check"""

import argparse
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.processes import environment
from benchmarks.rows import SHORT_TEMPLATE, write_ordinary_lines, write_template_lines
from benchmarks.tables import table

KINDS = {
    "ordinary": write_ordinary_lines,
    "template": write_template_lines,
    "short-template": partial(write_template_lines, template=SHORT_TEMPLATE),
}
SIZES = (30_000, 300_000)
SETTINGS = ("--set", "data.max_file_bytes=1000000000")
HEAD = ("rows", "kind", "seconds", "of processors", "times the first", "peak MB", "near-duplicates")


def main() -> None:
    """Check a file of each size and kind in a process of its own, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=SIZES, metavar="N", help="sizes; default: 30000 300000"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            first = None
            for size in options.rows:
                path = Path(folder) / f"{kind}-{size}.jsonl"
                KINDS[kind](path, size)
                print(f"{path.name} ...", file=sys.stderr, flush=True)
                wall, processors, peak, found = _check(path)
                first = first or processors
                cells = (f"{wall:.1f}", f"{processors:.1f}", f"{processors / first:.1f}", f"{peak / 1e6:.0f}")
                lines.append([f"{size:,}", kind, *cells, f"{found:,}"])
                path.unlink()
    print(table(HEAD, lines))


def _check(path: Path) -> tuple[float, float, int, int]:
    """Return seconds, seconds of processors, peak bytes, and how many near-duplicates were found."""
    outcome = path.with_suffix(".json")
    begin = time.perf_counter()
    with outcome.open("w") as said:
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tutelage", "check", str(path), "--json", *SETTINGS],
            environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1)],
        )
        _, status, usage = os.wait4(child, 0)  # what this child took, and not the greatest of all so far
    if status:
        raise RuntimeError(f"the check of {path.name} failed: {outcome.read_text(encoding='utf-8')[-500:]}")
    found = len(json.loads(outcome.read_text(encoding="utf-8"))["near_duplicates"])
    wall = time.perf_counter() - begin
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, found


if __name__ == "__main__":
    main()
