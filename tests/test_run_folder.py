import json
import os
import stat
from pathlib import Path

import pytest

from tutelage import run_folder
from tutelage.errors import RunFolderError, StorageError
from tutelage.run_folder import (
    RunFolder,
    read_json,
    read_json_lines,
    staged_folder,
    write_json,
    write_json_lines,
    write_text,
)

ODD = "a\u2028b\u2029c\x85d\x0be\x1cf\r\ng\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")


def test_the_names_are_those_of_the_contract(tmp_path):
    run = RunFolder(tmp_path)
    paths = [
        run.recipe, run.environment, run.summary, run.report, run.events, run.split("train"), run.split("test"),
        run.split("validation"), run.ledger, run.preparation, run.checkpoint(200), run.responses("base"),
        run.responses("tuned"), run.scores, run.metrics, run.model, run.training,
    ]  # fmt: skip
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "recipe.toml", "environment.json", "summary.json", "report.html", "events.jsonl", "data/train.jsonl",
        "data/test.jsonl", "data/validation.jsonl", "data/ledger.jsonl", "data/preparation.json",
        "checkpoints/step-000200", "evaluation/base.jsonl", "evaluation/tuned.jsonl", "evaluation/scores.jsonl",
        "evaluation/metrics.json", "model", "model/training.json",
    ]  # fmt: skip


def test_what_is_missing_names_the_stage_that_writes_it(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(RunFolderError, match=f"Run `tutelage prepare {tmp_path}` first"):
        run.require(run.preparation, stage="prepare")
    write_json(run.preparation, {})
    assert run.require(run.preparation, stage="prepare") == run.preparation


def test_json_lines_come_back_as_they_were_whatever_stands_in_the_texts(tmp_path):
    records = [{"text": ODD, "number": 1}, {"text": "\x00\x1b", "list": [1, None]}, {}]
    write_json_lines(tmp_path / "rows.jsonl", records)
    assert read_json_lines(tmp_path / "rows.jsonl") == records
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 3


def test_no_file_gets_a_number_that_is_not_json(tmp_path):
    write_json(tmp_path / "a.json", {"loss": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == {"loss": 1.0}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}x', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_told_with_its_name(tmp_path, content):
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"summary.json: .* write it anew with `tutelage report "):
        read_json(path)


@pytest.mark.parametrize(
    ("place", "content", "told", "verb"),
    [
        ("data/preparation.json", "{}", "it has no source", "prepare"),
        ("data/preparation.json", "[]", "it holds no JSON object", "prepare"),
        ("data/train.jsonl", '{"row": 0}', "line 1 has no prompt", "prepare"),
        ("model/training.json", '{"dtype": 5}', "it has 5 as dtype", "train"),
        (
            "model/training.json",
            '{"dtype": "float32", "padded_because": null, "loss": 1}',
            "it has no loss.before",
            "train",
        ),
        ("events.jsonl", '{"event": "step", "step": 1}\n7', "line 2 holds no JSON object", "train"),
        ("evaluation/metrics.json", "{}", "it has no primary_metric", "evaluate"),
        ("evaluation/base.jsonl", None, "No such file or directory", "evaluate"),
    ],
)
def test_a_file_without_what_the_stages_ask_it_for_is_told_with_what_writes_it(
    tmp_path, place, content, told, verb
):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunFolderError) as fault:
        (read_json_lines if path.suffix == ".jsonl" else read_json)(path)
    assert f"Could not read {path}: {told}." in str(fault.value)
    assert f"`tutelage {verb} {tmp_path} --overwrite`" in str(fault.value)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")

    def no_space(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder.os, "fsync", no_space)
    with pytest.raises(StorageError, match=r"a.txt: No space left on device. Check the free space") as fault:
        write_text(tmp_path / "a.txt", "new")
    assert fault.value.exit_code == 4
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_no_other(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_folder_cannot_be_made_where_a_file_stands(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="Could not write"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(StorageError, match="Could not write"), staged_folder(tmp_path / "file" / "b"):
        pass


def test_a_staged_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    for content in ("old", "new"):
        with staged_folder(tmp_path / "data") as staged:
            (staged / f"{content}.txt").write_text(content)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_staged_folder_that_fails_changes_nothing(tmp_path):
    with staged_folder(tmp_path / "data") as staged:
        (staged / "old.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half way"), staged_folder(tmp_path / "data") as staged:
        (staged / "new.txt").write_text("new")
        raise RuntimeError("half way")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["old.txt"]


def test_files_and_folders_get_the_permissions_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
        with staged_folder(tmp_path / "data") as staged:
            (staged / "inside").mkdir()
            (staged / "inside" / "weights").touch(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data" / "inside").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "data" / "inside" / "weights").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750


def test_json_is_written_in_utf_8_with_lf_alone(tmp_path):
    write_json(tmp_path / "a.json", {"é": "你好\r\n"})
    content = (tmp_path / "a.json").read_bytes()
    assert "é".encode() in content
    assert b"\r" not in content
    assert json.loads(content) == {"é": "你好\r\n"}


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one_whole(tmp_path, monkeypatch):
    destination = tmp_path / "model"
    destination.mkdir()
    (destination / "weights").write_text("old")
    rename = Path.rename

    def fail_for_the_new_one(self, target):
        if self.name.startswith(".model.") and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(StorageError, match="No space left on device"), staged_folder(destination) as staged:
        (staged / "weights").write_text("new")
    assert (destination / "weights").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_replaced_is_the_new_one_and_nothing_is_left_beside_it(tmp_path):
    destination = tmp_path / "model"
    for content in ("old", "new"):
        with staged_folder(destination) as staged:
            (staged / "weights").write_text(content)
    assert (destination / "weights").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
