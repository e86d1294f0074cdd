"""What differs between systems has a path where this one's is taken away, and the whole program runs so."""

import errno
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.system import platforms

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src"
PROGRAM = """
import importlib, os, pkgutil, signal, sys
assert not hasattr(os, "fork") and not hasattr(signal, "SIGHUP") and sys.modules["fcntl"] is None
import tutelage
for module in pkgutil.walk_packages(tutelage.__path__, "tutelage."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from tutelage.cli.main import main
words = "--set model.name_or_path=tiny --set training.max_steps=2 --set training.dtype=float32 --set adapter.r=2" \\
    " --set evaluation.limit=4 --set evaluation.max_new_tokens=4".split()
for command in (["prepare", "--data", "my.json", "--output", "run", *words], ["train", "run"], ["evaluate", "run"],
                ["report", "run"], ["export", "run", "--to", "hf"]):
    try:
        main(command)
    except SystemExit as left:
        assert not left.code, (command, left.code)
"""


def without_posix(program, place):
    """Run a program, and all that it begins, without what Windows lacks."""
    path = os.pathsep.join(map(str, (TESTS / "without_posix", SOURCES)))
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=os.environ
        | {
            "PYTHONPATH": path,
            "TUTELAGE_CACHE": str(place / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.slow
def test_every_module_is_imported_and_a_run_is_made_where_there_is_no_posix(tmp_path):
    write_tiny_model(tmp_path / "tiny")
    write_rows(tmp_path / "my.json", alpaca_values(80))
    done = without_posix(PROGRAM, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "export" / "hf" / "config.json").is_file()
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "fault",
    [
        "import fcntl",
        "import resource",
        "import os; os.fork()",
        "import signal; signal.SIGHUP",
        "import os; os.open('.', 0)",
    ],
)
def test_what_is_taken_away_is_missed(tmp_path, fault):
    assert without_posix(fault, tmp_path).returncode == 1


def test_a_folder_is_locked_where_the_system_locks_no_file(tmp_path):
    program = """
from pathlib import Path
from filelock import FileLock, SoftFileLock
from tutelage.errors import RunFolderError
from tutelage.run.lock import locked_folder
assert FileLock is SoftFileLock
root = Path("run")
with locked_folder(root, root / ".lock"):
    try:
        with locked_folder(root, root / ".lock"):
            raise SystemExit("it was not locked")
    except RunFolderError as fault:
        assert fault.code == "run.locked", fault.code
assert not root.exists()
"""
    done = without_posix(program, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_process_that_is_refused_no_memory_ends_beyond_its_bound(tmp_path):
    program = """
import os, time
from tutelage.system.platforms import bound_this_process, memory_bytes
bound_this_process(seconds=60, memory=memory_bytes() + 2**26, exceeded=lambda: (os.write(1, b"too much"), os._exit(1)))
kept = []
while True:
    kept.append(bytearray(b"1" * 2**20))
    time.sleep(0.001)
"""
    done = without_posix(program, tmp_path)
    assert (done.returncode, done.stdout) == (1, "too much")


def test_a_process_that_takes_too_long_ends(tmp_path):
    program = """
from tutelage.system.platforms import bound_this_process
bound_this_process(seconds=1, memory=2**40, exceeded=lambda: None)
while True:
    pass
"""
    assert without_posix(program, tmp_path).returncode == 1


def test_a_folder_that_cannot_be_opened_is_not_synced_and_a_file_is(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or fsync(handle))
    platforms.sync(tmp_path)
    platforms.sync(tmp_path / "file")
    folder, file = tmp_path.stat().st_ino, (tmp_path / "file").stat().st_ino
    assert synced == ([folder, file] if hasattr(os, "O_DIRECTORY") else [file])
    synced.clear()
    monkeypatch.delattr(os, "O_DIRECTORY", raising=False)
    platforms.sync(tmp_path)
    platforms.sync(tmp_path / "file")
    assert synced == [file]


@pytest.mark.parametrize("refused", [(), ("symlink",), ("symlink", "link")])
def test_a_file_gets_a_second_name_in_the_way_that_the_system_allows(tmp_path, monkeypatch, refused):
    (tmp_path / "file").write_text("text")

    def refuse(*_, **__):
        raise OSError(errno.EPERM, "A required privilege is not held by the client")

    for name in refused:
        monkeypatch.setattr(os, name, refuse)
    platforms.link_file(tmp_path / "other", tmp_path / "file")
    assert (tmp_path / "other").read_text() == "text"


def test_peak_memory_is_in_bytes_in_every_way(monkeypatch):
    mebibyte = 2**20
    ours = platforms.peak_memory_bytes()
    now = platforms.memory_bytes()
    assert 0.9 * now < ours < 2**40
    monkeypatch.setattr(platforms, "_resource", lambda: None)
    assert abs(platforms.peak_memory_bytes() - now) < 64 * mebibyte
    assert mebibyte < platforms.available_memory_bytes() < 2**50


def test_open_files_have_the_limit_of_the_system(monkeypatch):
    resource = pytest.importorskip("resource")
    assert platforms.most_open_files() in (resource.getrlimit(resource.RLIMIT_NOFILE)[0], math.inf)
    monkeypatch.setattr(platforms, "_resource", lambda: None)
    assert platforms.most_open_files() == math.inf


@pytest.mark.parametrize("is_windows", [False, True])
def test_a_parent_is_seen_to_go_in_both_ways(monkeypatch, is_windows):
    monkeypatch.setattr(platforms, "IS_WINDOWS", is_windows)
    assert platforms.is_child_of(os.getppid())()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not platforms.is_child_of(gone.pid)()


def test_the_signals_that_end_a_run_are_those_that_the_system_has():
    assert signal.SIGINT in platforms.ENDING_SIGNALS
    assert set(platforms.ENDING_SIGNALS) <= set(signal.valid_signals())
