"""The records of a run come back as they were written, and a line that lacks something is named."""

import json

import pytest

from tutelage.errors import RunFolderError
from tutelage.run.folder import SETS, write_json_lines
from tutelage.run.lines import LINES, read_json_lines

ODD = "a\u2028b\u2029c\x85d\x0be\x1cf\r\ng\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")

ANSWER = {"row": 3, "prompt": "a", "answer": "b", "reward": 0.1, "base": -2.0, "tuned": -1.0}
JUDGED = "\n".join(map(json.dumps, [{**ANSWER, "label": False}, ANSWER]))


def test_json_lines_come_back_as_they_were_whatever_stands_in_the_texts(tmp_path):
    records = [{"text": ODD, "number": 1}, {"text": "\x00\x1b", "list": [1, None]}, {}]
    write_json_lines(tmp_path / "rows.jsonl", records)
    assert read_json_lines(tmp_path / "rows.jsonl") == records
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    ("place", "content", "told", "verb"),
    [
        ("data/train.jsonl", '{"row": 0}', "line 1 has no prompt", "prepare"),
        (
            "events.jsonl",
            '{"event": "step", "step": 1, "loss": 2.5}\n7',
            "line 2 does not hold a JSON object",
            "train",
        ),
        ("events.jsonl", '{"event": "validation", "step": 1}', "line 1 has no loss", "train"),
        (
            "events.jsonl",
            '{"event": "sample", "step": 1, "row": 2, "prompt": "a", "reference": "b", "response": null}',
            "line 1 has None as response",
            "train",
        ),
        ("evaluation/judged.jsonl", JUDGED, "line 2 has no label", "evaluate"),
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
        read_json_lines(path)
    assert f"Could not read {path}: {told}." in str(fault.value)
    assert f"`tutelage {verb} {tmp_path} --overwrite`" in str(fault.value)


@pytest.mark.parametrize("name", [*LINES, "events.jsonl"])
def test_a_set_may_have_the_name_of_a_file_of_the_run(tmp_path, name):
    (tmp_path / SETS).mkdir()
    write_json_lines(tmp_path / SETS / name, [{"row": 0}])
    write_json_lines(tmp_path / name, [{"row": 0}])
    assert read_json_lines(tmp_path / SETS / name) == [{"row": 0}]
    with pytest.raises(RunFolderError):
        read_json_lines(tmp_path / name)
