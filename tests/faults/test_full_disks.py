"""A disk that is full, in a test of its own or in truth: what is published stays whole, and the run goes on later."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from support.children import run
from support.command_line import contents
from support.failpoints import before_each
from support.interrupted import at, check_it_ends_as, losses, made_by, operations_on, out_of_space, words
from support.tiers import slow

import tutelage
from tutelage.run.folder import RunFolder
from tutelage.system.storage import find_damage

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


def check_a_full_disk(straight, tmp_path, numbers):
    expected, events, _ = straight
    for number in numbers:
        ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, out_of_space))
        assert ended.code == 0, ended.said
        assert (
            ended.said.count("Warning[run.checkpoint_not_saved]: no checkpoint of step 2: Could not write")
            == 1
        )
        assert "No space left on device" in ended.said
        assert "bytes are free there" in ended.said
        assert made_by(tmp_path / "run") == expected
        assert [event for event in losses(tmp_path / "run") if event["event"] != "unsaved"] == events
        assert not list((tmp_path / "run").rglob("*.part"))
        shutil.rmtree(tmp_path / "run")


def test_a_checkpoint_for_which_there_is_no_room_is_told_and_the_run_goes_on(straight, tmp_path):
    """Property 5: the checkpoint of step 2 does not fit."""
    check_a_full_disk(straight, tmp_path, operations_on("step-000002", straight)[2:3])


@pytest.mark.nightly
def test_wherever_in_a_checkpoint_the_disk_is_full_the_run_goes_on(straight, tmp_path):
    """Property 5, at every operation of its publication; when it is pruned later nothing has to be written."""
    found = operations_on("step-000002", straight)
    check_a_full_disk(straight, tmp_path, [number for number in found if number < found[0] + 14])


def test_without_room_for_the_last_checkpoint_the_run_ends_with_4_and_goes_on_later(straight, tmp_path):
    number = operations_on("step-000006", straight)[0]
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, out_of_space))
    assert ended.code == 4, ended.said
    assert "No space left on device" in ended.said
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")


OPEN = os.open


def refused_by_the_system(path, *rest, **more):
    if Path(path).name == os.devnull.rpartition("/")[2]:
        return OPEN(path, *rest, **more)  # which is no file of the disk
    raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize(
    ("patched", "told"),
    [
        (("tutelage.run.lock.os.open", refused_by_the_system), "cannot be written: Read-only file system"),
        (("tutelage.training.preflight.free_bytes", lambda path: 1000), "only 1,000 are free there"),
        (
            ("tutelage.training.preflight.available_memory_bytes", lambda: 1000),
            "bytes of memory, but only",
        ),
    ],
)
def test_what_would_stop_a_run_later_is_found_before_its_first_step(tmp_path, patched, told):
    """Property 7."""
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=lambda: patch(*patched))
    assert ended.code == 2, ended.said
    assert told in ended.said
    assert not (tmp_path / "run" / "events.jsonl").exists() or not losses(tmp_path / "run")


SMALL_BYTES = 64 * 2**20


@pytest.fixture
def small(tmp_path):
    """A disk of 64 MiB in memory, which only root of a Linux machine may mount."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as fault:
        pytest.skip(f"there is no mount here: {fault}")
    if mounted.returncode:
        pytest.skip(f"this process may not mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk):
    """Take all that is left of a disk, to the last byte."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def while_step(step, disk, *, until=None):
    """Enter a context in which the disk is full from the checkpoint of a step on, until that of another."""

    def act(number, operation, path):
        filler = disk / "filler"
        if f"step-{step:06d}" in path.name and operation == "make" and not filler.exists():
            fill(disk)
        if until and f"step-{until:06d}" in path.name:
            filler.unlink(missing_ok=True)

    return lambda: before_each(act)


@pytest.mark.parametrize("step", [2, slow(6)])
def test_on_a_disk_that_is_really_full_the_run_says_so_and_goes_on_once_there_is_room(
    straight, small, tmp_path, step
):
    """Property 5: the system's own refusal, wherever it comes, in place of one that a test raises."""
    ended = run(words(small / "run"), tmp_path / "said.txt", around=while_step(step, small))
    assert ended.code == 4, ended.said
    assert "No space left on device" in ended.said
    assert "bytes are free there" in ended.said
    assert "same command" in ended.said
    assert "Traceback" not in ended.said
    checkpoints = RunFolder(small / "run").checkpoints
    assert [path.name for path in checkpoints.iterdir() if find_damage(path)] == []
    again = run(words(small / "run"), tmp_path / "said.txt")  # there is still no room
    assert again.code in (2, 4), again.said
    assert "free" in again.said
    (small / "filler").unlink()
    check_it_ends_as(straight, small / "run", tmp_path / "said.txt")


def test_room_that_comes_back_in_time_costs_a_checkpoint_and_a_line(straight, small, tmp_path):
    ended = run(words(small / "run"), tmp_path / "said.txt", around=while_step(2, small, until=3))
    assert ended.code == 0, ended.said
    assert (
        ended.said.count("Warning[run.checkpoint_not_saved]: no checkpoint of step 2: Could not write") == 1
    )
    assert made_by(small / "run") == straight[0]


@pytest.fixture
def full():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    return Path("/dev/full")


@pytest.mark.parametrize(
    "asked",
    ["--help", "check --data my.json", "check --data my.json --json", "prepare --data my.json --output out"],
)
def test_output_that_nobody_can_take_is_told_with_4(home, full, asked):
    with full.open("wb") as nowhere:
        ended = subprocess.run(
            [sys.executable, "-m", "tutelage", *asked.split()],
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])},
        )
    assert ended.returncode == 4, ended.stderr
    assert ended.stderr == (
        "error[storage.output_full]: Could not write the output: No space left on device. Free some space there,"
        " then run the same command again.\n"
    )
    assert not (home / "out").exists()


def test_a_message_that_nobody_can_take_leaves_its_exit_code(full):
    with full.open("wb") as nowhere:
        ended = subprocess.run(
            [sys.executable, "-m", "tutelage", "check", "--data", "nothing.json"],
            stdout=nowhere,
            stderr=nowhere,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])},
        )
    assert ended.returncode == 2


EVERY_BYTE_TAKEN = {
    "train": ["--overwrite"],
    "evaluate": ["--overwrite"],
    "report": [],
    "export": ["--to", "peft"],
}


@pytest.mark.parametrize("verb", EVERY_BYTE_TAKEN)
def test_a_disk_without_a_byte_left_is_named_and_nothing_changes_on_it(
    straight, small, at_home, tmp_path, verb
):
    root = shutil.copytree(at_home / "straight", small / "run")
    command = [verb, root, *EVERY_BYTE_TAKEN[verb]]
    before = contents(root)
    fill(small)
    ended = run(command, tmp_path / "said.txt")
    assert ended.code == 4, ended.said
    assert "error[storage.write_failed]" in ended.said
    assert f"Could not write {root}" in ended.said
    assert contents(root) == before
    (small / "filler").unlink()
    assert run(command, tmp_path / "said.txt").code == 0


def test_an_evaluation_without_room_for_its_report_is_reported_later_and_not_made_again(
    straight, at_home, tmp_path
):
    root = shutil.copytree(at_home / "straight", tmp_path / "run")
    for made in (root / "summary.json", root / "report.html"):
        made.unlink()
    shutil.rmtree(root / "evaluation")

    def act(number, operation, path):
        if path.name.startswith((".report.html", "report.html")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ended = run(["evaluate", root], tmp_path / "said.txt", around=lambda: before_each(act))
    assert ended.code == 4, ended.said
    answers = contents(root / "evaluation")
    assert run(["evaluate", root], tmp_path / "said.txt").code == 0
    assert contents(root / "evaluation") == answers
    assert "evaluation" in json.loads((root / "summary.json").read_text())
    ended = run(["evaluate", root], tmp_path / "said.txt")  # now it is whole
    assert (ended.code, "run.stage_done" in ended.said) == (2, True)
