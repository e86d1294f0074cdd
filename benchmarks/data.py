"""Measure the data room on files of several sizes: python -m benchmarks.data"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.environments import make_environment
from benchmarks.processes import run_alone
from benchmarks.rows import write_long_rows, write_rows
from benchmarks.tables import percent, spread, table
from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.model.sources import locate_model
from tutelage.system.fetching import user_cache

SIZES = (10_000, 52_000)
PARTS = ("read", "check", "tokens", "trees")
PREPARED_SIZES = (10_000, 100_000)
PREPARED_HEAD = (
    "rows",
    "MB",
    "training tokens",
    "seconds",
    "of processors",
    "rows/s",
    "start GB",
    "peak GB",
    "MB written",
    "opened in s",
    "others",
)
PEER, PEER_RUNNER = "llamafactory", "data_llamafactory"
PEER_HEAD = ("rows", "tutelage", "LLaMA-Factory", "its tokens", "tutelage takes", "others")
HEAD = ("rows", "MB", "tokens", *PARTS, "together", "rows/s", "near-duplicates", "start", "peak GB", "others")


def main() -> None:
    """Make a file of each size, run the data room over it in a process of its own, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", metavar="N", help="sizes; default: 10000 52000")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="measure the whole of `tutelage prepare` on rows of about 2 kB; sizes: 10000 100000",
    )
    parser.add_argument(
        "--data", type=Path, help="an Alpaca file to measure in place of rows that are made up"
    )
    parser.add_argument("--model", help="name or folder of the model; default: the project's default model")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each size")
    parser.add_argument("--no-near-duplicates", action="store_true", help="leave them out")
    parser.add_argument("--peer", action="store_true", help="also LLaMA-Factory, on the same files")
    options = parser.parse_args()
    if options.peer and options.prepare:
        parser.error("--peer does not go with --prepare")
    peer = make_environment(PEER) if options.peer else None
    model = locate_model(options.model or DEFAULT_MODEL, cache=user_cache(), progress=print).folder
    lines, peer_lines = [], []
    sizes = options.rows or (PREPARED_SIZES if options.prepare else SIZES)
    write = write_long_rows if options.prepare else write_rows
    with tempfile.TemporaryDirectory() as folder:
        for size in [None] if options.data else sizes:
            path = options.data or Path(folder) / f"{size}.json"
            if size:
                write(path, size)
            job = {
                "data": str(path.resolve()),
                "model": str(model),
                "batch": 8,
                "near_duplicates": not options.no_near_duplicates,
            }
            (Path(folder) / "job.json").write_text(json.dumps(job), encoding="utf-8")
            print(f"{path.name} ...", file=sys.stderr, flush=True)
            runner = "preparation" if options.prepare else "data"
            runs, peer_runs = [], []
            for _ in range(options.rounds):
                runs.append(run_alone(Path(sys.executable), runner, Path(folder) / "job.json", runner))
                if peer:
                    peer_runs.append(run_alone(peer, PEER_RUNNER, Path(folder) / "job.json", "data"))
            lines.append((_prepared_line if options.prepare else _line)(path, runs))
            if peer:
                peer_lines.append(_peer_line(runs, peer_runs))
            if size:
                path.unlink()  # a million rows are 2 GB
    print(f"seconds, the median of {options.rounds} (least to greatest)\n")
    print(table(PREPARED_HEAD if options.prepare else HEAD, lines))
    if peer_lines:
        print(
            "\nBeside LLaMA-Factory, which reads, tokenises and masks, in seconds without the start of either:\n"
        )
        print(table(PEER_HEAD, peer_lines))


def _prepared_line(path: Path, runs: list[dict[str, Any]]) -> list[str]:
    last = runs[-1]
    return [
        f"{last['rows']:,}",
        f"{path.stat().st_size / 1e6:.1f}",
        f"{last['tokens']:,}",
        spread([run["seconds"] for run in runs], 1),
        spread([run["processor_seconds"] for run in runs], 1),
        spread([run["rows"] / run["seconds"] for run in runs], 0),
        f"{max(run['start_rss_bytes'] for run in runs) / 1e9:.2f}",
        f"{max(run['peak_rss_bytes'] for run in runs) / 1e9:.2f}",
        f"{last['written_bytes'] / 1e6:.0f}",
        f"{max(run['opening_seconds'] for run in runs):.3f}",
        percent([run["others"] for run in runs]),
    ]


def _together(runs: list[dict[str, Any]]) -> list[float]:
    return [sum(run["seconds"][part] for part in PARTS) for run in runs]


def _peer_line(runs: list[dict[str, Any]], peer_runs: list[dict[str, Any]]) -> list[str]:
    ours, theirs = _together(runs), [run["seconds"] for run in peer_runs]
    shares = [own / other for own, other in zip(ours, theirs, strict=True)]
    return [
        f"{peer_runs[-1]['rows']:,}",
        spread(ours, 1),
        spread(theirs, 1),
        f"{peer_runs[-1]['tokens']:,}",
        f"{spread(shares)} of its time",
        percent([run["others"] for run in (*runs, *peer_runs)]),
    ]


def _line(path: Path, runs: list[dict[str, Any]]) -> list[str]:
    together = _together(runs)
    last = runs[-1]
    return [
        f"{last['rows']:,}",
        f"{path.stat().st_size / 1e6:.1f}",
        f"{last['tokens']:,}",
        *(spread([run["seconds"][part] for run in runs]) for part in PARTS),
        spread(together),
        spread([run["rows"] / seconds for run, seconds in zip(runs, together, strict=True)], 0),
        spread([run["seconds"]["near_duplicates"] for run in runs], 1),
        spread([run["seconds"]["start"] for run in runs]),
        f"{max(run['peak_rss_bytes'] for run in runs) / 1e9:.2f}",
        percent([run["others"] for run in runs]),
    ]


if __name__ == "__main__":
    main()
