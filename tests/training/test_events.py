"""The log of a training on a disk that fails for a moment: no line is lost, and none stands twice."""

import errno
import json
import os

import pytest

from tutelage.errors import StorageError
from tutelage.system import storage
from tutelage.training.events import event_log


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(storage, "WAITS_SECONDS", (0.0, 0.0, 0.0))


def forgetful_sync(path, *, fails, forgets_from):
    """Fail so many syncs, each of which loses what was written since the last good one, as a disk may."""
    left = [fails]

    def sync(handle):
        if left[0]:
            left[0] -= 1
            os.truncate(path, forgets_from)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return sync


def steps_in(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("fails", [1, 3])
def test_lines_that_a_failed_sync_forgot_are_written_again(tmp_path, monkeypatch, fails):
    path = tmp_path / "events.jsonl"
    with event_log(path, lambda event: None) as log:
        log.emit("step", step=1)
        kept = log.sync()
        log.emit("step", step=2)
        log.emit("step", step=3)
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=fails, forgets_from=kept))
        assert log.sync() == path.stat().st_size
        log.emit("step", step=4)
    assert steps_in(path) == [1, 2, 3, 4]


def test_a_log_that_only_asks_again_would_lose_them(tmp_path, monkeypatch):
    """The broken variant: the second sync has nothing left to write, and succeeds."""
    path = tmp_path / "events.jsonl"
    with event_log(path, lambda event: None) as log:
        log.emit("step", step=1)
        monkeypatch.setattr(log, "_put", lambda place, lines: None)
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=1, forgets_from=0))
        log.sync()
    assert steps_in(path) == []


def test_a_fault_that_stays_is_told(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    with event_log(path, lambda event: None) as log:
        log.emit("step", step=1)
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=4, forgets_from=0))
        with pytest.raises(StorageError, match=r"events\.jsonl: Input/output error"):
            log.sync()
