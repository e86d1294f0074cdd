"""Two processes and one folder: one of them writes, and the other is told which."""

import os
import platform
import signal
import time
from contextlib import contextmanager

import pytest
from support.children import run, start, wait
from support.failpoints import before_each
from support.interrupted import check_it_ends_as, words

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


@contextmanager
def halting(path):
    """Say that the first operation is reached, and stay there."""

    def act(number, *_):
        if number == 5:
            path.touch()
            signal.pause()

    with before_each(act):
        yield


def test_of_two_runs_in_one_folder_the_second_is_told_who_is_there(straight, tmp_path):
    """Property 14."""
    first = start(
        words(tmp_path / "run"), tmp_path / "first.txt", around=lambda: halting(tmp_path / "reached")
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        os.sched_yield()
    second = run(words(tmp_path / "run"), tmp_path / "second.txt")
    assert second.code == 2, second.said
    assert f"is being written by process {first} on {platform.node()}" in second.said
    os.kill(first, signal.SIGKILL)
    assert wait(first, tmp_path / "first.txt").code == -signal.SIGKILL
    assert (tmp_path / "run" / ".lock").read_text().startswith(f"process {first} on")
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")  # the lock of the dead is taken over


def test_the_lock_of_another_machine_is_not_taken_over(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("process 7 on another-machine")
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt")
    assert ended.code == 2, ended.said
    assert "process 7 on another-machine" in ended.said
    assert f"remove {tmp_path / 'run' / '.lock'}" in ended.said.replace("\n", " ")
