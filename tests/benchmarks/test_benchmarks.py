"""The benchmarks are run by hand; here only that each script starts, and that what it installs is pinned."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import serving, work
from benchmarks.workloads import WORKLOADS
from tutelage.errors import FetchError

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "benchmarks" / "peers").glob("*.txt"))
SCRIPTS = [
    "benchmarks.training",
    "benchmarks.ablation",
    "benchmarks.generation",
    "benchmarks.work",
    "benchmarks.data",
    "benchmarks.check",
    "benchmarks.environments",
    "benchmarks.serving",
    "benchmarks.reliability",
    "benchmarks.runners.llama_server",
    "benchmarks.runners.transformers_serve",
    "benchmarks.runners.tutelage",
    "benchmarks.runners.data",
    "benchmarks.runners.data_llamafactory",
    "benchmarks.runners.preparation",
    "benchmarks.runners.trainer",
    "benchmarks.runners.trl",
    "benchmarks.runners.book",
    "benchmarks.runners.machine",
    "benchmarks.runners.generation_tutelage",
    "benchmarks.runners.generation_transformers",
]
HELP_WITHOUT_TORCH = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as left:
    assert left.code == 0
heavy = {"torch", "transformers", "peft", "trl", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_a_script_does_and_imports_no_torch(script):
    outcome = subprocess.run(
        [sys.executable, "-c", HELP_WITHOUT_TORCH, script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("usage:")


def test_every_runner_is_tested_here():
    folder = ROOT / "benchmarks" / "runners"
    runners = {path.stem for path in folder.glob("*.py")} - {"__init__", "job"}
    assert runners == {script.rpartition(".")[2] for script in SCRIPTS if ".runners." in script}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_peers_are_pinned_and_torch_is_bounded(path):
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\d+(\.\d+)+", line) for line in lines)
    torch = next(line for line in lines if line.startswith("torch=="))
    assert tuple(map(int, torch.removeprefix("torch==").split(".")))[:2] < (2, 14)


@pytest.mark.parametrize("is_reached", [True, False])
def test_without_the_books_file_its_rows_are_fetched_or_the_starter_rows_are_taken(
    monkeypatch, tmp_path, capsys, is_reached
):
    asked = []

    def read(name, *, cache):
        asked.append(name)
        if name == "instruction-data" and not is_reached:
            raise FetchError("fetch.failed", "no network")
        return name

    book = replace(WORKLOADS["book"], file=tmp_path / "gone.json")
    monkeypatch.setattr(work, "read_source", read)
    assert work._read_rows(None, book) == ("instruction-data" if is_reached else "starter")
    assert ("starter rows" in capsys.readouterr().err) is not is_reached
    assert work._read_rows("mine.csv", book) == asked[-1] == "mine.csv"


def test_a_run_without_exports_is_named_with_the_commands_that_make_them(tmp_path):
    with pytest.raises(SystemExit, match="tutelage export .* --to gguf --to hf"):
        serving.require_exports(tmp_path)
