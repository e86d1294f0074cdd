"""Whatever ends a run, the same command goes on with it, and what comes out is what would have come out anyway."""

import errno
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file
from support.children import run
from support.failpoints import CRASHED, before_each
from support.interrupted import ask_to_stop, at, check_it_ends_as, crash, losses, made_by, words

import tutelage
from tutelage.objectives import load_objective
from tutelage.run.folder import RunFolder
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.objective import LossOutput, Objective

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]

# What takes many minutes is cut into so many tests, which can run side by side.
PARTS = 4


def numbers(straight, share, *, count):
    """Return so many numbers of operations, spread over the run."""
    operations = len(straight[2])
    return [1 + int((operations - 1) * (place + share) / count) for place in range(count)]


def check_a_crash(straight, tmp_path, number):
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, crash))
    assert ended.code == CRASHED, (number, ended.said)
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")
    shutil.rmtree(tmp_path / "run")


def test_a_run_that_crashed_goes_on_to_the_same_end(straight, tmp_path):
    for number in numbers(straight, 0.5, count=2):
        check_a_crash(straight, tmp_path, number)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_crashed_before_any_operation_goes_on_to_the_same_end(straight, tmp_path, part):
    """Property 3, over the whole command line."""
    for number in range(1 + part, len(straight[2]) + 1, PARTS):
        check_a_crash(straight, tmp_path, number)


def test_a_crash_in_the_last_operations_leaves_a_run_that_is_finished_or_goes_on(straight, tmp_path):
    last = len(straight[2])
    for number in range(last - 2, last + 1):
        check_a_crash(straight, tmp_path, number)


def test_a_crash_after_the_evaluation_is_whole_leaves_no_answers(straight, tmp_path):
    removed = [number for number, path in enumerate(straight[2], start=1) if path.endswith("/answers")]
    assert removed
    check_a_crash(straight, tmp_path, removed[0])


def check_a_signal(straight, tmp_path, number):
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, ask_to_stop))
    assert ended.code == 75, (number, ended.said)
    assert "Interrupted. Finished work is kept. Run the same command again" in ended.said
    assert not (tmp_path / "run" / ".lock").exists()
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")
    shutil.rmtree(tmp_path / "run")


def test_a_run_that_was_asked_to_stop_leaves_with_75_and_goes_on_to_the_same_end(straight, tmp_path):
    for number in numbers(straight, 0.6, count=2):
        check_a_signal(straight, tmp_path, number)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_a_signal_before_any_operation_leaves_with_75_and_the_run_goes_on(straight, tmp_path, part):
    """Property 12, at every operation instead of at random times."""
    for number in range(1 + part, len(straight[2]) + 1, PARTS):
        check_a_signal(straight, tmp_path, number)


def test_a_second_signal_leaves_at_once(straight, tmp_path):
    def ask_twice():
        ask_to_stop()
        ask_to_stop()

    # In training the first signal waits for a good place; elsewhere it ends the run before a second one comes.
    saving = [number for number, path in enumerate(straight[2], start=1) if "/checkpoints/" in path]
    middle = saving[len(saving) // 2]
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(middle, ask_twice))
    assert ended.code == 130, ended.said
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")


def last_of_the_data(straight):
    """Return the number of the last operation that makes the data whole."""
    return 1 + max(number for number, path in enumerate(straight[2], start=1) if "/.data." in path)


def a_fault_of_the_disk():
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.nightly
def test_a_disk_that_fails_now_and_then_does_not_touch_a_run(straight, tmp_path):
    """Property 6, with a fault every sixty operations: even the evaluation is published in fewer."""
    data = last_of_the_data(straight)
    ended = run(
        words(tmp_path / "run"),
        tmp_path / "said.txt",
        around=lambda: before_each(
            lambda number, *_: a_fault_of_the_disk() if number > data and number % 60 == 0 else None
        ),
    )
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_that_passes_at_any_operation_after_the_data_is_not_noticed(straight, tmp_path, part):
    """Property 6; while the data are prepared a run ends with 4 instead, and begins again when it is given again."""
    data = last_of_the_data(straight)
    for number in range(1 + part, len(straight[2]) + 1, PARTS):
        ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, a_fault_of_the_disk))
        if number <= data:
            assert ended.code in (0, 4), (number, ended.said)
            check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")
        else:
            assert ended.code == 0, (number, ended.said)
            assert made_by(tmp_path / "run") == straight[0]
        shutil.rmtree(tmp_path / "run")


def test_a_loss_that_is_no_number_ends_the_run_with_3_and_the_rows_and_keeps_the_checkpoint(tmp_path):
    """Property 16: at step 5 the loss is not finite; the newest checkpoint is of step 4 and finite."""
    calls = []

    def poisoned(model, tree, units, **given):
        loss = CROSS_ENTROPY.loss(model, tree, units, **given).loss
        calls.append(loss.requires_grad)  # the validation has no gradient
        # One pass is timed before the first step.
        return LossOutput(loss * (float("nan") if sum(calls) == 1 + 5 else 1))

    wrong = Objective(poisoned, CROSS_ENTROPY.normalizer)
    part = replace(load_objective("instruction").training, objective=lambda recipe, units: wrong)
    around = lambda: patch.object(load_objective("instruction"), "training", part)  # noqa: E731
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=around)
    assert ended.code == 3, ended.said
    assert "The loss is nan" in ended.said
    assert "on the rows [" in ended.said
    folder = RunFolder(tmp_path / "run")
    assert folder.saved_steps()[-1] == 4
    saved = load_file(folder.checkpoint(4) / "adapter_model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in saved.values())


KILLS, RUNS = 200 // PARTS, 20 // PARTS


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_two_hundred_kills_at_random_instants(home, tmp_path, part):
    """Property 2: the real command, killed at random and started again until it is done."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    changed = {"training__max_steps": 400, "training__save_steps": 5, "training__eval_steps": 50}
    assert run(words(tmp_path / "straight", **changed), tmp_path / "said.txt").code == 0
    expected, events = made_by(tmp_path / "straight"), losses(tmp_path / "straight")
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    kills = finished = 0
    while kills < KILLS or finished < RUNS:
        root = tmp_path / f"run-{finished}"
        while True:
            command = [sys.executable, "-m", "tutelage", *map(str, words(root, **changed))]
            with (tmp_path / "said.txt").open("w") as output:
                process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
                try:
                    code = process.wait(timeout=chance.uniform(0, 14))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
        said = (tmp_path / "said.txt").read_text()
        # Killed when all was done and only the end of the process was left, the next call finds a finished run.
        assert code == 0 or "already holds a run" in said, (seed, said)
        assert made_by(root) == expected, seed
        assert losses(root) == events, seed
        assert [path for path in root.rglob("*") if path.name.startswith(".")] == [], seed
        finished += 1
    assert (kills >= KILLS, finished >= RUNS) == (True, True)
