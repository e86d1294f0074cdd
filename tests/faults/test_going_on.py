"""What an unfinished run asks for before it goes on, and what it goes on in spite of."""

import os
from unittest.mock import patch

import pytest
from safetensors.torch import load_file
from support.children import run
from support.failpoints import CRASHED
from support.interrupted import at, check_it_ends_as, crash, made_by, operations_on, words

from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]


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
    "data.prompt_template": {"data__prompt_template": "alpaca"},
    "data.max_length": {"data__max_length": 200},
}


def test_what_changed_since_is_refused_by_name(unfinished, home, tmp_path):
    """Property 18: seven changes, seven refusals, and nothing is touched."""
    files = [path for path in unfinished.rglob("*") if path.is_file() and not path.name.startswith(".lock")]
    before = {path: path.stat().st_mtime_ns for path in files}

    def refused(name, **changed):
        ended = run(words(unfinished, **changed), tmp_path / "said.txt")
        assert (ended.code, name in ended.said, "--allow-changes" in ended.said) == (2, True, True), (
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
    ended = run([*words(unfinished, **changed), "--allow-changes"], tmp_path / "said.txt")
    assert ended.code == 0, ended.said
    told = "training.per_device_train_batch_size (was 8, now 4)"
    assert f"Changed since then, and allowed: {told}." in ended.said
    assert read_json(RunFolder(unfinished).summary)["training"]["allowed_changes"] == [told]
    assert read_json(RunFolder(unfinished).summary)["training"]["resumed"] == [4]


@pytest.mark.nightly
def test_a_fresh_run_begins_beside_the_unfinished_one(unfinished, straight, tmp_path):
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    ended = run([*words(unfinished), "--new"], tmp_path / "said.txt")
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
        assert "All checkpoints of" in ended.said
        assert "or start from scratch" in ended.said
    assert ended.said.count("error[") == 1


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
