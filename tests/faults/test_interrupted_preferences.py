"""A preference tuning that crashes goes on to the same end: its pairs, its reference and its weights."""

import shutil

import pytest
from support.children import run
from support.failpoints import CRASHED
from support.interrupted import at, crash, listing, losses, words
from support.pairs import preference_values
from support.rows import write_rows

pytestmark = pytest.mark.forks
MADE = (
    "data/train.rejected.jsonl",
    "reference.json",
    "model/adapter_model.safetensors",
    "evaluation/preferences.jsonl",
)


def of_pairs(root):
    given = words(
        root, training__objective="dpo", data__source="pairs.json", evaluation__general_text="false"
    )
    return [word for word in given if word not in ("--data", "my.json")]


def made_by(root):
    return {name: (root / name).read_bytes() for name in MADE}


def test_a_preference_tuning_that_crashed_goes_on_to_the_same_end(at_home, tmp_path):
    write_rows(at_home / "pairs.json", preference_values(80))
    said, straight, again = tmp_path / "said.txt", tmp_path / "straight", tmp_path / "again"
    ended = run(of_pairs(straight), said, around=lambda: listing(tmp_path / "operations"))
    assert ended.code == 0, ended.said
    operations = (tmp_path / "operations").read_text().split("\n")
    around_the_reference = [n for n, path in enumerate(operations, 1) if "reference.json" in path]
    in_the_training = [n for n, path in enumerate(operations, 1) if "step-000006" in path]
    for number in (around_the_reference[0], around_the_reference[-1] + 1, in_the_training[0]):
        ended = run(of_pairs(again), said, around=at(number, crash))
        assert ended.code == CRASHED, ended.said
        ended = run(of_pairs(again), said)
        assert ended.code == 0, ended.said
        assert made_by(again) == made_by(straight)
        assert losses(again) == losses(straight)
        shutil.rmtree(again)
