"""The log of a training on a disk that fails for a moment: no line is lost, and none stands twice."""

import errno
import json
import os
from contextlib import contextmanager

import pytest

from tutelage.errors import StorageError
from tutelage.run.event_log import EventLog, bytes_before_training
from tutelage.run.events import StageStarted, StepTaken
from tutelage.system import storage


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


@contextmanager
def begun(path):
    log = EventLog(path)
    log.begin(0)
    try:
        yield log
    finally:
        log.close()


def step(number):
    return StepTaken(step=number, epoch=1.0, learning_rate=0.1, loss=1.0)


def steps_in(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("fails", [1, 3])
def test_lines_that_a_failed_sync_forgot_are_written_again(tmp_path, monkeypatch, fails):
    path = tmp_path / "events.jsonl"
    with begun(path) as log:
        log.emit(step(1))
        kept = log.sync()
        log.emit(step(2))
        log.emit(step(3))
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=fails, forgets_from=kept))
        assert log.sync() == path.stat().st_size
        log.emit(step(4))
    assert steps_in(path) == [1, 2, 3, 4]


def test_a_log_that_only_asks_again_would_lose_them(tmp_path, monkeypatch):
    """The broken variant: the second sync has nothing left to write, and succeeds."""
    path = tmp_path / "events.jsonl"
    with begun(path) as log:
        log.emit(step(1))
        monkeypatch.setattr(log, "_put", lambda place, lines: None)
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=1, forgets_from=0))
        log.sync()
    assert steps_in(path) == []


def test_a_fault_that_stays_is_told(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    with begun(path) as log:
        log.emit(step(1))
        monkeypatch.setattr(os, "fsync", forgetful_sync(path, fails=4, forgets_from=0))
        with pytest.raises(StorageError, match=r"events\.jsonl: Input/output error"):
            log.sync()


def stages_in(path):
    return [json.loads(line)["stage"] for line in path.read_text().splitlines()]


def filled(path, *stages):
    with begun(path) as log:
        for stage in stages:
            log.emit(StageStarted(stage=stage))


def test_lines_that_are_held_take_the_place_of_earlier_ones_once_the_stage_begins(tmp_path):
    path = tmp_path / "events.jsonl"
    filled(path, "prepare", "train", "evaluate")
    before = path.read_bytes()
    log = EventLog(path)
    log.hold(is_live=False)
    log.emit(StageStarted(stage="train"))
    assert path.read_bytes() == before  # an earlier run is not touched before the new one is known to begin
    log.begin(bytes_before_training(path))
    log.emit(StageStarted(stage="report"))
    log.close()
    assert stages_in(path) == ["prepare", "train", "report"]


def test_held_lines_can_be_read_at_once_where_nothing_is_replaced_and_stand_once_in_the_end(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "stage_sta')  # what a crash left
    log = EventLog(path)
    log.hold(is_live=True)
    log.emit(StageStarted(stage="prepare"))
    assert stages_in(path) == ["prepare"]
    log.close()
    path.unlink()  # it gives way with all else that an earlier preparation left
    log.begin(0)
    assert log.sync() == path.stat().st_size
    log.close()
    assert stages_in(path) == ["prepare"]


def test_what_two_stages_held_is_written_by_the_second(tmp_path):
    path = tmp_path / "events.jsonl"
    filled(path, "prepare", "train")
    log = EventLog(path)
    for stage in ("prepare", "train"):
        log.hold(is_live=False)
        log.emit(StageStarted(stage=stage))
    log.begin(path.stat().st_size)
    log.close()
    assert stages_in(path) == ["prepare", "train", "prepare", "train"]


def test_a_log_that_goes_on_stands_behind_the_last_whole_line(tmp_path):
    path = tmp_path / "events.jsonl"
    filled(path, "prepare", "train")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 3])
    log = EventLog(path)
    log.go_on()
    log.emit(StageStarted(stage="report"))
    log.close()
    assert stages_in(path) == ["prepare", "train", "report"]


@pytest.mark.parametrize(
    ("stages", "kept"),
    [((), 0), (("prepare",), 1), (("prepare", "report", "train", "train"), 2), (("train",), 0)],
)
def test_what_stands_before_the_first_training_is_counted(tmp_path, stages, kept):
    path = tmp_path / "events.jsonl"
    filled(path, *stages)
    lines = path.read_bytes().splitlines(keepends=True)
    assert bytes_before_training(path) == sum(map(len, lines[:kept]))


def test_of_a_log_without_stages_nothing_stands_before_the_training(tmp_path):
    path = tmp_path / "events.jsonl"
    with begun(path) as log:
        log.emit(step(1))
    assert bytes_before_training(path) == 0
    assert bytes_before_training(tmp_path / "none.jsonl") == 0
