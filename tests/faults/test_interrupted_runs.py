"""Whatever ends a run, the same command goes on with it, and what comes out is what would have come out anyway."""

import errno
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file
from support.children import run, start, wait
from support.failpoints import CRASHED, before_each
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

import tutelage
from tutelage import storage
from tutelage.run_folder import RunFolder, read_json, read_json_lines
from tutelage.training.objectives import OBJECTIVES
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective

pytestmark = pytest.mark.forks

SETTINGS = {
    "training.max_steps": 6,
    "training.save_steps": 2,
    "training.eval_steps": 3,
    "training.dtype": "float32",
    "training.sample_prompts": 0,
    "adapter.r": 2,
    "adapter.lora_dropout": 0.1,
    "evaluation.limit": 6,
    "evaluation.batch_size": 2,
    "evaluation.max_new_tokens": 4,
}
# What a run makes, and must make whatever happened on the way; times and memory are no part of it.
MADE = (
    "data/train.jsonl",
    "data/preparation.json",
    "model/adapter_model.safetensors",
    "evaluation/base.jsonl",
    "evaluation/tuned.jsonl",
    "evaluation/metrics.json",
    "recipe.toml",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with rows, a model, and one run that nothing happened to, with the operations that it made."""
    home = tmp_path_factory.mktemp("faults")
    write_tiny_model(home / "tiny")
    write_rows(home / "my.json", alpaca_values(80))
    return home


@pytest.fixture(autouse=True)
def place(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("TUTELAGE_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(storage, "WAITS_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(
        "tutelage.report.charts._svg", lambda *_, **__: "<svg></svg>"
    )  # most of a run's time here
    return home


def words(output, **changed):
    settings = {
        "model.name_or_path": "tiny",
        **SETTINGS,
        **{k.replace("__", "."): v for k, v in changed.items()},
    }
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return ["run", "--data", "my.json", "--output", output, *given]


def made_by(root):
    return {name: (Path(root) / name).read_bytes() for name in MADE}


def losses(root):
    return [
        {key: value for key, value in event.items() if key != "seconds"}
        for event in read_json_lines(RunFolder(Path(root)).events)
    ]


@pytest.fixture(scope="module")
def straight(home):
    """What an undisturbed run makes, and the paths of its operations in order."""
    here = Path.cwd()
    os.chdir(home)
    try:
        with patch.dict(os.environ, TUTELAGE_CACHE=str(home / "cache"), HF_HUB_OFFLINE="1"):
            ended = run(words("straight"), home / "straight.txt", around=lambda: listing(home / "operations"))
    finally:
        os.chdir(here)
    assert ended.code == 0, ended.said
    operations = (home / "operations").read_text().split("\n")
    return made_by(home / "straight"), losses(home / "straight"), operations


@contextmanager
def listing(path):
    """Write the paths of the operations to a file when the work is done."""
    made = []
    with before_each(lambda number, operation, place: made.append(str(place))):
        try:
            yield
        finally:
            path.write_text("\n".join(made))


def at(number, act):
    """Enter a context in which `act` is called before the operation of a number."""
    return lambda: before_each(lambda reached, *_: act() if reached == number else None)


def crash():
    os._exit(CRASHED)


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def check_it_ends_as(straight, root, output, **changed):
    """Give the same command again, and hold what comes out against the undisturbed run."""
    ended = run(words(root, **changed), output)
    assert ended.code == 0, ended.said
    expected, events, _ = straight
    made = made_by(root)
    assert [name for name in MADE if made[name] != expected[name]] == []
    assert losses(root) == events
    assert [path for path in Path(root).rglob("*") if path.name.startswith(".")] == []
    assert not (Path(root) / "answers").exists()


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
def test_a_run_that_crashed_before_any_operation_goes_on_to_the_same_end(straight, tmp_path):
    """Property 3, over the whole command line."""
    for number in range(1, len(straight[2]) + 1):
        check_a_crash(straight, tmp_path, number)


def test_a_crash_after_the_evaluation_is_whole_leaves_no_answers(straight, tmp_path):
    removed = [number for number, path in enumerate(straight[2], start=1) if path.endswith("/answers")]
    assert removed
    check_a_crash(straight, tmp_path, removed[0])


def check_a_signal(straight, tmp_path, number):
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, ask_to_stop))
    assert ended.code == 75, (number, ended.said)
    assert "Interrupted. What was done so far is kept. Give the same command again" in ended.said
    assert not (tmp_path / "run" / ".lock").exists()
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")
    shutil.rmtree(tmp_path / "run")


def test_a_run_that_was_asked_to_stop_leaves_with_75_and_goes_on_to_the_same_end(straight, tmp_path):
    for number in numbers(straight, 0.6, count=2):
        check_a_signal(straight, tmp_path, number)


@pytest.mark.nightly
def test_a_signal_before_any_operation_leaves_with_75_and_the_run_goes_on(straight, tmp_path):
    """Property 12, at every operation instead of at random times."""
    for number in range(1, len(straight[2]) + 1):
        check_a_signal(straight, tmp_path, number)


def test_a_second_signal_leaves_at_once(straight, tmp_path):
    def ask_twice():
        ask_to_stop()
        ask_to_stop()

    middle = len(straight[2]) // 2
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(middle, ask_twice))
    assert ended.code == 130, ended.said
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")


def out_of_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def operations_on(name, straight):
    """Return the numbers of the operations whose path holds a name."""
    return [number for number, path in enumerate(straight[2], start=1) if name in path]


def check_a_full_disk(straight, tmp_path, numbers):
    expected, events, _ = straight
    for number in numbers:
        ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, out_of_space))
        assert ended.code == 0, ended.said
        assert ended.said.count("Warning: no checkpoint of step 2: Could not write") == 1
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


@pytest.mark.nightly
def test_faults_that_pass_do_not_touch_a_run(straight, tmp_path):
    """Property 6, at one in nine of all operations, once each."""

    @contextmanager
    def shaky():
        failed = set()

        def act(number, operation, path):
            key = (operation, number // 9)
            if number % 9 == 0 and key not in failed and operation in ("write", "sync"):
                failed.add(key)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        with before_each(act):
            yield

    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=shaky)
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


@pytest.fixture
def unfinished(straight, tmp_path):
    """A run that crashed after the checkpoint of step 4."""
    number = operations_on("step-000006", straight)[0]
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=at(number, crash))
    assert ended.code == CRASHED, ended.said
    assert RunFolder(tmp_path / "run").saved_steps() == [2, 4] or RunFolder(
        tmp_path / "run"
    ).saved_steps() == [3, 4]
    return tmp_path / "run"


CHANGES = {
    "training.per_device_train_batch_size": {"training__per_device_train_batch_size": 4},
    "training.seed": {"training__seed": 7},
    "data.prompt": {"data__prompt": "chat"},
    "data.max_length": {"data__max_length": 200},
}


def test_what_changed_since_is_refused_by_name(unfinished, home, tmp_path):
    """Property 18: seven changes, seven refusals, and nothing is touched."""
    files = [path for path in unfinished.rglob("*") if path.is_file() and path.name != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}

    def refused(name, **changed):
        ended = run(words(unfinished, **changed), tmp_path / "said.txt")
        assert (ended.code, name in ended.said, "--accept-changes" in ended.said) == (2, True, True), (
            ended.said
        )
        assert {path: path.stat().st_mtime_ns for path in before} == before

    for name, changed in CHANGES.items():
        refused(name, **changed)
    for file, name in [
        ("my.json", "the data in my.json"),
        ("tiny/tokenizer.json", "the model's tokenizer.json"),
        ("tiny/model.safetensors", "the base weights"),
    ]:
        kept = (home / file).read_bytes()
        try:
            if file.endswith(".json"):
                (home / file).write_bytes(kept.replace(b"guest 6.", b"guest 7.") + b" ")
            else:
                write_other_weights(home / file)
            refused(name)
        finally:
            (home / file).write_bytes(kept)


def write_other_weights(path):
    from safetensors.torch import save_file

    weights = load_file(path)
    save_file({name: weight * 1.01 for name, weight in weights.items()}, path, metadata={"format": "pt"})


def test_what_changed_can_be_accepted_and_is_recorded(unfinished, tmp_path):
    changed = {"training__per_device_train_batch_size": 4}
    ended = run([*words(unfinished, **changed), "--accept-changes"], tmp_path / "said.txt")
    assert ended.code == 0, ended.said
    told = "training.per_device_train_batch_size (was 8, now 4)"
    assert f"Changed since, and accepted: {told}." in ended.said
    assert read_json(RunFolder(unfinished).summary)["training"]["accepted_changes"] == [told]
    assert read_json(RunFolder(unfinished).summary)["training"]["resumed"] == [4]


@pytest.mark.nightly
def test_a_fresh_run_begins_beside_the_unfinished_one(unfinished, straight, tmp_path):
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    ended = run([*words(unfinished), "--fresh"], tmp_path / "said.txt")
    assert ended.code == 0, ended.said
    assert {path: path.read_bytes() for path in before} == before
    made = made_by(unfinished.with_name("run-2"))
    assert made["model/adapter_model.safetensors"] == straight[0]["model/adapter_model.safetensors"]


def test_a_run_without_a_whole_checkpoint_does_not_start_from_zero(unfinished, tmp_path):
    for step in RunFolder(unfinished).saved_steps():
        (RunFolder(unfinished).checkpoint(step) / "state.json").write_bytes(b"")
    for _ in range(2):
        ended = run(words(unfinished), tmp_path / "said.txt")
        assert ended.code == 4, ended.said
        assert "is whole" in ended.said
        assert "or start the training from zero" in ended.said
    assert ended.said.count("error:") == 1


@pytest.mark.nightly
def test_the_clock_decides_nothing(unfinished, straight, tmp_path):
    """Property 15: files from the future or the past, and a clock that was set back."""
    newest, *others = sorted(RunFolder(unfinished).checkpoints.iterdir(), reverse=True)
    os.utime(newest, (0, 0))
    for other in others:
        os.utime(other, (2**33, 2**33))
    with patch("time.time", lambda: 86_400.0):
        check_it_ends_as(straight, unfinished, tmp_path / "said.txt")
    assert all(
        event["seconds"] >= 0 for event in read_json_lines(RunFolder(unfinished).events) if "seconds" in event
    )


def test_a_loss_that_is_no_number_ends_the_run_with_3_and_the_rows_and_keeps_the_checkpoint(tmp_path):
    """Property 16: at step 5 the loss is not finite; the newest checkpoint is of step 4 and finite."""
    calls = []

    def poisoned(model, tree, **given):
        loss = INSTRUCTION.loss(model, tree, **given)
        calls.append(loss.requires_grad)  # the validation has no gradient
        return loss * (float("nan") if sum(calls) == 5 else 1)

    wrong = {"instruction": Objective(poisoned, INSTRUCTION.divisor)}
    around = lambda: patch.dict(OBJECTIVES, wrong)  # noqa: E731
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=around)
    assert ended.code == 3, ended.said
    assert "The loss is nan" in ended.said
    assert "on the rows [" in ended.said
    folder = RunFolder(tmp_path / "run")
    assert folder.saved_steps()[-1] == 4
    saved = load_file(folder.checkpoint(4) / "adapter_model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in saved.values())


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


def refused_by_the_system(*_, **__):
    raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize(
    ("patched", "told"),
    [
        (("tutelage.run_lock.os.open", refused_by_the_system), "cannot be written: Read-only file system"),
        (("tutelage.training.preflight.free_bytes", lambda path: 1000), "and 1,000 are free there"),
        (
            ("tutelage.training.preflight.available_memory_bytes", lambda: 1000),
            "bytes of memory to be trained",
        ),
    ],
)
def test_what_would_stop_a_run_later_is_found_before_its_first_step(tmp_path, patched, told):
    """Property 7."""
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=lambda: patch(*patched))
    assert ended.code == 2, ended.said
    assert told in ended.said
    assert not (tmp_path / "run" / "events.jsonl").exists() or not losses(tmp_path / "run")


def test_verify_proves_a_run_and_finds_a_changed_bit(straight, home, tmp_path):
    copied = shutil.copytree(home / "straight", tmp_path / "run")
    for more in ([], ["--from-step", 0]):
        proved = run(["verify", copied, *more], tmp_path / "said.txt")
        assert proved.code == 0, proved.said
        assert "to step 6: weights and optimiser are the same to the bit" in proved.said
    weights = copied / "model" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = run(["verify", copied], tmp_path / "said.txt")
    assert refused.code == 4, refused.said
    assert "adapter_model.safetensors has other bytes" in refused.said


def test_verify_finds_a_checkpoint_that_the_training_does_not_lead_to(straight, home, tmp_path):
    """Forged with a manifest of its own, so that only training again tells."""
    copied = shutil.copytree(home / "straight", tmp_path / "run")
    last = RunFolder(copied).checkpoint(6)
    weights = load_file(last / "optimizer.safetensors")
    name = next(name for name, value in weights.items() if value.ndim == 2)
    weights[name][0, 0] += 1e-3
    forge(last, weights)
    refused = run(["verify", copied], tmp_path / "said.txt")
    assert refused.code == 4, refused.said
    assert "optimizer.safetensors came out otherwise" in refused.said


def forge(folder, weights):
    from safetensors.torch import save_file

    with storage.staged_folder(folder) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        save_file(weights, staged / "optimizer.safetensors")
        (staged / storage.MANIFEST).unlink()


KILLS, RUNS = 200, 20


@pytest.mark.nightly
def test_two_hundred_kills_at_random_instants(home, tmp_path):
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
