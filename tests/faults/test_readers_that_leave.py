"""Nobody reads the output, or it cannot take a character, or the terminal is closed: the work has a planned end."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from support.children import run
from support.interrupted import at, check_it_ends_as, losses, made_by, words
from support.rows import alpaca_values, write_rows
from support.tiers import slow

import tutelage
from tutelage.run.folder import RunFolder
from tutelage.system import streams

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


@contextmanager
def without_reader(*descriptors):
    """Let standard output or error lead into a pipe whose other end is closed."""
    read, write = os.pipe()
    os.close(read)
    for descriptor in descriptors:
        os.dup2(write, descriptor)
    yield


@contextmanager
def closed(*descriptors):
    for descriptor in descriptors:
        os.close(descriptor)
    with patch.multiple(
        sys,
        **{name: None for number in descriptors for name in (NAMES[number], f"__{NAMES[number]}__")},
    ):
        yield


NAMES = {1: "stdout", 2: "stderr"}


@pytest.mark.parametrize("how", [without_reader, closed])
@pytest.mark.parametrize("descriptors", [slow((1,)), slow((2,)), (1, 2)], ids=["stdout", "stderr", "both"])
def test_a_run_without_a_reader_comes_to_its_end(straight, tmp_path, how, descriptors):
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=lambda: how(*descriptors))
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]
    assert losses(tmp_path / "run") == straight[1]
    assert (tmp_path / "run" / "report.html").exists()


def test_a_reader_that_leaves_while_the_model_is_trained_stops_nothing(straight, tmp_path):
    middle = len(straight[2]) // 2
    ended = run(
        words(tmp_path / "run"),
        tmp_path / "said.txt",
        around=at(middle, lambda: next(without_reader.__wrapped__(1, 2))),
    )
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


def test_a_log_for_which_there_is_no_room_costs_its_lines_and_no_step(straight, tmp_path):
    """Standard output leads into a full disk from the first step on, until the model is there."""

    class Full(streams.Outlet):
        def write(self, content, /):
            full = RunFolder(tmp_path / "run").saved_steps() and not (tmp_path / "run" / "model").exists()
            if full and not self.may_lose:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if full:
                return len(memoryview(content).cast("B"))
            return super().write(content)

    ended = run(
        words(tmp_path / "run"),
        tmp_path / "said.txt",
        around=lambda: patch.object(streams, "Outlet", Full),
    )
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


def hang_up(times=1):
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGHUP)


@contextmanager
def hanging_up(number, way, act):
    """Let SIGHUP be ignored or not, as a parent leaves it, and send it before an operation."""
    before = signal.signal(signal.SIGHUP, way)
    try:
        with at(number, act)():
            yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        lambda: (hang_up(2), os.kill(os.getpid(), signal.SIGTERM)),
        lambda: (os.kill(os.getpid(), signal.SIGTERM), hang_up()),
    ],
    ids=["once", "twice and SIGTERM", "after SIGTERM"],
)
def test_a_closed_terminal_ends_a_run_with_75_and_a_checkpoint(straight, tmp_path, act):
    number = len(straight[2]) // 2
    around = lambda: hanging_up(number, signal.SIG_DFL, act)  # noqa: E731
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=around)
    assert ended.code == 75, ended.said
    assert "error[run.interrupted]" in ended.said
    assert not (tmp_path / "run" / ".lock").exists()
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")


def test_a_hang_up_that_the_parent_ignores_stays_ignored(straight, tmp_path):
    around = lambda: hanging_up(len(straight[2]) // 2, signal.SIG_IGN, hang_up)  # noqa: E731
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=around)
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_characters_that_the_output_lacks_are_replaced(home, tmp_path, encoding):
    rows = [{**row, "input": "早上好 → ≥ 🙂", "output": f"{row['output']} ✓"} for row in alpaca_values(80)]
    write_rows(home / "marks.json", rows)
    given = [str(word).replace("my.json", "marks.json") for word in words(tmp_path / "run")]
    ended = run(given, tmp_path / "said.txt", encoding=encoding)
    assert ended.code == 0, ended.said
    assert "?" in ended.said
    assert (tmp_path / "run" / "report.html").exists()


def tutelage_process(*asked, **given):
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "tutelage", *map(str, asked)],
        stderr=subprocess.PIPE,
        env=environment | given.pop("env", {}),
        **given,
    )


def test_what_is_written_for_another_program_is_whole_or_ends_with_4(home, tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = tutelage_process("check", "--data", "my.json", "--json", stdout=write)
    os.close(write)
    _, told = process.communicate()
    assert process.returncode == 4
    assert b"error[storage.output_closed]" in told


def closed_command(*asked):
    """Run a command as a shell does that was told `>&-`."""
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    line = shlex.join([sys.executable, "-m", "tutelage", *map(str, asked)])
    return subprocess.run(
        ["sh", "-c", f"{line} >&-"], stderr=subprocess.PIPE, env=environment, check=False, text=True
    )


@pytest.mark.parametrize(
    "asked",
    [
        ["generate", "no-run", "Name a fruit."],
        ["preview", "--data", "my.json"],
        ["compare", "no-run", "no-other"],
        ["check", "--data", "my.json", "--json"],
    ],
    ids=lambda asked: asked[0],
)
def test_what_gives_nothing_but_its_output_ends_with_4_where_that_is_closed(home, asked):
    ended = closed_command(*asked)
    assert ended.returncode == 4, ended.stderr
    assert "error[storage.output_closed]" in ended.stderr


def test_a_command_that_does_something_else_needs_no_output(home):
    ended = closed_command("check", "--data", "my.json")
    assert ended.returncode == 0, ended.stderr


def test_json_on_an_output_of_few_characters_is_the_same_json(home, tmp_path):

    rows = [{"instruction": f"Say {number} 早上好", "output": "✓"} for number in range(9)]
    write_rows(home / "signs.json", rows)
    found = []
    for encoding in ("utf-8", "ascii"):
        process = tutelage_process(
            "check", "--data", "signs.json", "--json",
            stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding},
        )  # fmt: skip
        out, told = process.communicate()
        assert process.returncode == 0, told
        found.append(json.loads(out.decode(encoding)))
    assert found[0] == found[1]
    assert found[0]
