"""A classification that is killed at any point goes on to the same weights, labels and figures."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from support.children import run
from support.interrupted import at, listing, losses
from support.rows import write_rows
from support.tiers import slow

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]

MADE = (
    "data/train.jsonl",
    "data/preparation.json",
    "evaluation/predictions.jsonl",
    "evaluation/metrics.json",
)
KILLS = 3


def words(output, kind):
    settings = {
        "model.name_or_path": "tiny",
        "training.objective": "classification",
        "training.dtype": "float32",
        "training.max_steps": 6,
        "training.save_steps": 2,
        "training.eval_steps": 3,
        "training.method": kind,
        **({"adapter.r": 2, "adapter.lora_dropout": 0.1} if kind == "lora" else {}),
    }
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return ["run", "--data", "labels.json", "--output", output, *given]


def made_by(root):
    weights = sorted(Path(root, "model").glob("*.safetensors"))
    assert weights
    files = [*(Path(root) / name for name in MADE), *weights]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["lora", slow("full"), slow("last-block")])
def test_a_killed_classification_ends_as_one_that_was_never_stopped(home, tmp_path, kind):
    rows = [{"text": f"Message {n} of {n % 7}", "label": ("ham", "spam")[n % 2]} for n in range(80)]
    write_rows(home / "labels.json", rows)
    said, operations = tmp_path / "said.txt", tmp_path / "operations"
    straight = run(words(tmp_path / "straight", kind), said, around=lambda: listing(operations))
    assert straight.code == 0, straight.said
    count = len(operations.read_text().split("\n"))
    for place in range(KILLS):
        number = 1 + (2 * place + 1) * count // (2 * KILLS)
        ended = run(words(tmp_path / "run", kind), said, around=at(number, kill))
        assert ended.code == -signal.SIGKILL, (number, ended.said)
        again = run(words(tmp_path / "run", kind), said)
        assert again.code == 0, again.said
        assert made_by(tmp_path / "run") == made_by(tmp_path / "straight")
        assert losses(tmp_path / "run") == losses(tmp_path / "straight")
        shutil.rmtree(tmp_path / "run")
