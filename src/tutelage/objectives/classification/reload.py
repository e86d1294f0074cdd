"""The fresh process of a classification's verification: transformers' pipeline over an export, as a user has it.

Started as `python -m tutelage.objectives.classification.reload JOB`; the job is a JSON file that `export.py` writes.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tutelage.system.child_process import end_with_parent

BATCH = 8


def main(words: Sequence[str]) -> None:
    """Do the job of a file, and write what was found beside it."""
    from transformers import pipeline  # noqa: PLC0415 - seconds that a wrong job must not take

    path = Path(words[0])
    job = json.loads(path.read_text(encoding="utf-8"))
    ask: Any = pipeline("text-classification", model=job["path"], device="cpu")
    found = {
        "ids": [list(ask.tokenizer(text)["input_ids"]) for text in job["texts"]],
        "alone": _scores(ask(job["texts"], top_k=None)),
        "together": _scores(ask(job["texts"], top_k=None, batch_size=BATCH)),
    }
    (path.parent / "found.json").write_text(json.dumps(found), encoding="utf-8")


def _scores(answers: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, float]]:
    return [{one["label"]: one["score"] for one in answer} for answer in answers]


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]), Path(sys.argv[1]).parent)
    main(sys.argv[1:])
