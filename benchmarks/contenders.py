"""Run contenders one after the other, round by round, so that a slow phase of the machine hits all of them."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import make_environment
from benchmarks.processes import run_alone
from benchmarks.tables import percent, spread
from benchmarks.work import write_job

MACHINE = "machine"

Round = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Contender:
    """A runner with one of its variants, and the type of its products; `environment` None is the project's own."""

    name: str
    runner: str
    variant: str
    environment: str | None
    settings: str
    dtype: str


def add_run_options(parser: argparse.ArgumentParser, contenders: Sequence[Contender]) -> None:
    """Add which contenders run and how often; `contenders` are those of a processor with bf16."""
    names = [contender.name for contender in contenders]
    parser.add_argument("--only", nargs="+", choices=names, help="contenders to run; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure of every run")


def choose(contenders: Sequence[Contender], only: Sequence[str] | None) -> list[Contender]:
    """Return the contenders that were named, all where none was."""
    missing = {*(only or ())} - {contender.name for contender in contenders}
    if missing:
        raise SystemExit(
            f"{', '.join(sorted(missing))} would be measured twice, for fp32 suits this processor. Leave it out, or"
            " give --dtype bf16."
        )
    return [contender for contender in contenders if only is None or contender.name in only]


def run_rounds(contenders: Sequence[Contender], job: dict[str, Any], *, rounds: int) -> list[Round]:
    """Return what each contender printed, by its name, in every round; one that failed is left out."""
    pythons = {contender.name: _python_of(contender) for contender in contenders}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        write_job(path, job)
        return [_run_round(number, contenders, pythons, path, job["dtype"]) for number in range(rounds)]


def _python_of(contender: Contender) -> Path:
    return make_environment(contender.environment) if contender.environment else Path(sys.executable)


def _run_round(
    number: int, contenders: Sequence[Contender], pythons: dict[str, Path], job: Path, dtype: str
) -> Round:
    """Run each contender once; every second round in reverse, so that none always comes first."""
    done: Round = {MACHINE: run_alone(Path(sys.executable), "machine", job, dtype)}
    for contender in reversed(contenders) if number % 2 else contenders:
        print(f"round {number + 1}: {contender.name} ...", file=sys.stderr, flush=True)
        try:
            done[contender.name] = run_alone(
                pythons[contender.name], contender.runner, job, contender.variant
            )
        except RuntimeError as fault:
            print(fault, file=sys.stderr, flush=True)
    return done


def results_of(name: str, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    return [done[name] for done in rounds if name in done]


def paired(ours: str, peer: str, rounds: Sequence[Round]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the results of both in each round in which both ran; none where they are one."""
    both = {ours, peer}
    return [(done[ours], done[peer]) for done in rounds if len(both) == 2 and both <= done.keys()]


def all_ran(contenders: Sequence[Contender], rounds: Sequence[Round]) -> bool:
    return all(contender.name in done for contender in contenders for done in rounds)


def machine_rate(rounds: Sequence[Round], dtype: str) -> float:
    """Return the greatest rate of the best library in products of a type, operations a second.

    What other programs took is not the machine's, so the greatest of the rounds counts.
    """
    return max(rate for rates in library_rates(rounds, dtype).values() for rate in rates)


def library_rates(rounds: Sequence[Round], dtype: str) -> dict[str, list[float]]:
    """Return the rates of each library in products of a type, in operations a second, the best library first."""
    measured = [done[MACHINE]["gemm_flops_per_second"][dtype] for done in rounds]
    rates = {library: [one[library] for one in measured] for library in measured[0]}
    return dict(sorted(rates.items(), key=lambda item: -max(item[1])))


def describe(rounds: Sequence[Round], job: dict[str, Any]) -> str:
    """Return the machine, the type that suits it, its rates by type and library, and the versions of the packages."""
    machine = rounds[0][MACHINE]["machine"]
    taken = percent([done[MACHINE]["others"] for done in rounds])
    versions = {
        f"{package} {version}"
        for done in rounds
        for name, result in done.items()
        if name != MACHINE
        for package, version in result["versions"].items()
    }
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {job['dtype']}"
        f" (chosen by {job['dtype_chosen_by']});"
        f" others {taken}; rounds: {len(rounds)}"
    ]
    for dtype in rounds[0][MACHINE]["gemm_flops_per_second"]:
        rates = [
            f"{spread([rate / 1e9 for rate in rates], 0)} by {library}"
            for library, rates in library_rates(rounds, dtype).items()
        ]
        lines.append(f"GEMM in {dtype}, GFLOP/s: {'; '.join(rates)}")
    return "\n".join([*lines, ", ".join(sorted(versions))])


def write_rounds(path: Path, job: dict[str, Any], rounds: Sequence[Round]) -> None:
    """Write every figure; of the job only its settings, without the folder of the model."""
    settings = {name: value for name, value in job.items() if name not in ("examples", "prompts", "model")}
    path.write_text(json.dumps({"job": settings, "rounds": rounds}, indent=1) + "\n", encoding="utf-8")
