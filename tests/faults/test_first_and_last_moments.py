"""Signals before the first import of a process is done, and after its last line."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from support.rows import alpaca_values, write_rows

from tutelage.system.platforms import ENDING_SIGNALS

pytestmark = pytest.mark.forks

PROGRAM = [sys.executable, "-m", "tutelage"]
SIGNALS = ENDING_SIGNALS


def started(folder, *words, **more):
    return subprocess.Popen(
        [*PROGRAM, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


# Lets the first import of the program take its time, and says that it has begun.
SLOW_IMPORT = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "tutelage.cli.main":
            pathlib.Path("importing").touch()
            time.sleep(1)

sys.meta_path.insert(0, Slow())
"""


@contextmanager
def inherited(number, handler):
    """Let processes that are started begin with a handler of a signal: the default one, or none."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.fixture
def importing(tmp_path):
    """Start a command, and return its process in the midst of its imports."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]

    def start(*words: str) -> subprocess.Popen[str]:
        process = started(tmp_path, *words, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)})
        while not (tmp_path / "importing").exists():
            assert process.poll() is None
            time.sleep(0.01)
        return process

    return start


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_modules_are_imported_ends_with_75_and_one_line(importing, number):
    with inherited(number, signal.SIG_DFL):  # what runs the tests may ignore it
        process = importing("generate", "nowhere", "Hi.")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    assert [line.partition(":")[0] for line in said.splitlines()] == ["error[run.interrupted]"]


def test_a_hang_up_that_the_parent_ignores_is_ignored_in_the_first_moments_too(importing):
    with inherited(signal.SIGHUP, signal.SIG_IGN):
        process = importing("recipes", "list")
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


# Runs a command as the program does, with an exit handler that takes its time, as those of libraries do.
SLOW_END = """
import atexit, pathlib, sys, time
from tutelage.__main__ import main

def end():
    pathlib.Path("ending").touch()
    time.sleep(0.5)
    pathlib.Path("ended").touch()

atexit.register(end)
sys.argv = ["tutelage", "recipes", "list"]
main()
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_last_line_changes_nothing(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_END],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "ending").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert "quickstart" in out  # what was held back is written
    assert (tmp_path / "ended").exists()


def test_a_process_leaves_with_the_code_of_its_command(tmp_path):
    write_rows(tmp_path / "rows.json", alpaca_values(3))
    assert started(tmp_path, "generate", "nowhere", "Hi.").wait() == 2
    full = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(full, "wb") as nowhere:
        done = subprocess.run(
            [*PROGRAM, "recipes", "list"], stdout=nowhere, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 4
