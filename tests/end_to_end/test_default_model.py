"""The whole road with the real default model, as a user walks it."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from support.book_data import BOOK_FILE

from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

pytestmark = pytest.mark.end_to_end

ROWS = 260


@pytest.fixture(scope="module")
def finished(tmp_path_factory, default_model) -> RunFolder:
    """One epoch over 221 real rows, evaluated on 12 of the 26 test rows."""
    folder = tmp_path_factory.mktemp("end-to-end")
    rows = json.loads(real_rows().read_text(encoding="utf-8"))[:ROWS]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    settings = {
        "training.num_train_epochs": 1,
        "training.eval_steps": 14,
        "evaluation.limit": 12,
        "evaluation.max_new_tokens": 64,
    }
    command = [sys.executable, "-m", "tutelage", "run", "--data", "rows.json", "--output", "run"]
    command += ["--split", "position"]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.endswith(" …") for line in done.stderr.splitlines()), done.stderr  # waits alone
    return RunFolder(folder / "run")


def real_rows() -> Path:
    """The book's file where it is at hand, else the starter data."""
    return (
        BOOK_FILE
        if BOOK_FILE.exists()
        else Path(str(resources.files("tutelage.data.starter") / "starter.json"))
    )


def test_every_row_is_accounted_for(finished):
    rows = read_json(finished.summary)["rows"]
    assert rows == {"train": 221, "test": 26, "validation": 13}
    assert len(read_json_lines(finished.ledger)) == ROWS


def test_tuning_lowers_the_validation_loss(finished):
    loss = read_json(finished.summary)["loss"]["validation"]
    assert loss["best"] < 0.9 * loss["before"]


def test_the_tuned_model_finds_the_references_likelier(finished):
    scores = read_json(finished.summary)["evaluation"]["metrics"]["bits_per_byte"]
    assert scores["high"] < 0, "the whole interval of the difference lies below 0"


def test_the_tuned_model_stops_by_itself(finished):
    tuned = read_json_lines(finished.responses("tuned"))
    assert len(tuned) == 12
    assert sum(answer["stopped"] for answer in tuned) >= 10, (
        "an answer of the book may be longer than the limit"
    )


def test_fewer_tokens_are_computed_than_stand_in_the_rows(finished):
    tokens = sum(row["tokens"] for row in read_json_lines(finished.split("train")))
    assert read_json(finished.training)["computed_tokens"] < 0.75 * tokens


def test_the_report_is_one_whole_page(finished):
    page = finished.report.read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
