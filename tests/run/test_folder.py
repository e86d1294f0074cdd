import json

import pytest

from tutelage.errors import RunFolderError
from tutelage.run.folder import RunFolder, read_json, write_json, write_text


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


def test_no_file_gets_a_number_that_is_not_json(tmp_path):
    write_json(tmp_path / "a.json", {"loss": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == {"loss": 1.0}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}x', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_told_with_its_name(tmp_path, content):
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"summary.json: .* write it again with `tutelage report "):
        read_json(path)


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_no_other(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_json_is_written_in_utf_8_with_lf_alone(tmp_path):
    write_json(tmp_path / "a.json", {"é": "你好\r\n"})
    content = (tmp_path / "a.json").read_bytes()
    assert "é".encode() in content
    assert b"\r" not in content
    assert json.loads(content) == {"é": "你好\r\n"}
