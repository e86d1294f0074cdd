"""Property 23: runs one after another, each with whatever befalls it, for as long as SOAK_MINUTES says."""

import errno
import os
import random
import signal
import time
from contextlib import contextmanager

import pytest
from support.children import run
from support.failpoints import CRASHED, before_each
from support.interrupted import ask_to_stop, crash, losses, made_by, words

from tutelage.run.folder import RunFolder

pytestmark = [pytest.mark.forks, pytest.mark.nightly, pytest.mark.usefixtures("at_home")]

MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))
SECONDS = 120  # a call that takes longer hangs; an undisturbed one takes about three


def no_room():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def a_fault_of_the_disk():
    raise OSError(errno.EIO, os.strerror(errno.EIO))


# With each the exit codes that it may lead to; 0 where it came too late or could be got over.
FAULTS = (
    (crash, (0, CRASHED)),
    (lambda: os.kill(os.getpid(), signal.SIGKILL), (0, -signal.SIGKILL)),
    (ask_to_stop, (0, 75)),
    (no_room, (0, 4)),
    (a_fault_of_the_disk, (0, 4)),  # 4 while data are prepared, and 0 from then on
)


@contextmanager
def befallen(act, number):
    """Let one thing happen before the operation of a number, and end a child that hangs."""
    signal.alarm(SECONDS)
    with before_each(lambda reached, *_: act() if reached == number else None):
        yield


def flip_a_bit(folder, chance):
    """Damage one of two or more checkpoints, so that there is another to go back to."""
    steps = folder.saved_steps()
    if len(steps) > 1:
        path = chance.choice(
            sorted(path for path in folder.checkpoint(steps[-1]).rglob("*") if path.is_file())
        )
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def check_a_run(straight, root, said, chance):
    """Give the same command until it is done; return how often."""
    expected, events, operations = straight
    calls = 0
    while True:
        act, allowed = chance.choice(FAULTS)
        number = chance.randrange(1, 2 * len(operations))
        ended = run(words(root), said, around=lambda: befallen(act, number))  # noqa: B023 - runs at once
        calls += 1
        if "already holds a run" in ended.said:
            break
        assert ended.code in allowed, (act, number, ended)
        if ended.code == 0:
            break
        if chance.random() < 0.3:
            flip_a_bit(RunFolder(root), chance)
    assert made_by(root) == expected
    assert [event for event in losses(root) if event["event"] not in ("unsaved", "resumed")] == [
        event for event in events if event["event"] not in ("unsaved", "resumed")
    ]
    assert [path for path in root.rglob("*") if path.name.startswith(".")] == []
    return calls


def test_whatever_befalls_runs_they_end_as_they_would_have(straight, tmp_path, record_property):
    seed = random.SystemRandom().randrange(2**32)
    resource = pytest.importorskip("resource")
    chance, ends_at = random.Random(seed), time.monotonic() + 60 * MINUTES
    runs = calls = 0
    peaks = []
    while time.monotonic() < ends_at or runs < 5:
        try:
            calls += check_a_run(straight, tmp_path / f"run-{runs}", tmp_path / "said.txt", chance)
        except BaseException as fault:
            fault.add_note(f"run {runs} of seed {seed}")
            raise
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        runs += 1
    record_property("runs", runs)
    record_property("calls", calls)
    assert calls > runs, "nothing befell them"
    assert peaks[-1] < 1.25 * peaks[4], "what a call needs of memory grows"
