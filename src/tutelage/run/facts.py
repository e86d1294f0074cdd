"""What the stages ask each other's files for, by the name of the file: each fact with its type."""

from collections.abc import Mapping
from typing import Any

# Raised whenever a reader needs more of a file, or something else, than it did before.
EVALUATION_FORMAT = 1
PREPARATION_FORMAT = 1
FORMATS = {"metrics.json": EVALUATION_FORMAT, "preparation.json": PREPARATION_FORMAT}

_PREPARED_ROW = {
    "row": int,
    "prompt": str,
    "response": str,
    "tokens": int,
    "supervised": int,
}
_ANSWER = {
    "row": int,
    "prompt": str,
    "reference": str,
    "response": str,
    "response_tokens": int,
    "stopped": bool,
    "reference_log_prob": int | float,
    "reference_bytes": int,
}
# What the stages ask each other's files for. A file without it, or with another type in its place, is damaged.
FACTS: Mapping[str, Mapping[str, Any]] = {
    "preparation.json": {
        "source": str,
        "sha256": str,
        "model": str,
        "model_sha256": str,
        "settings": dict,
        "prompt": str,
        "split": str,
        "end_of_turn": str,
        "end_of_turn_id": int,
        **{
            f"rows.{counted}": int
            for counted in ("read", "kept", "repaired", "dropped", "train", "test", "validation")
        },
        **{f"tokens.{counted}": int for counted in ("train", "supervised", "distinct")},
        "repeated_prompts": int,
        "leaks.test": list,
        "leaks.validation": list,
        "notes": list,
    },
    "training.json": {
        "dtype": str,
        "padded_because": str | None,
        **{f"loss.{when}": int | float | None for when in ("before", "best")},
    },
    "metrics.json": {"primary_metric": str, "verdict": str, "sentence": str, "rows": int},
    "preferences.jsonl": {"row": int, "chosen": str, "rejected": str, "margin": int | float},
    "predictions.jsonl": {"row": int, "text": str, "label": str, "predicted": str, "probabilities": dict},
    "judges.json": {"judges": dict},
    "judgements.jsonl": {"judge": str, "row": int, "kind": str, "replies": list},
    "passages.jsonl": {"passage": int, "sha256": str, "base": int | float, "tuned": int | float},
    "environment.json": {},
    **{
        f"{split}{side}.jsonl": _PREPARED_ROW
        for split in ("train", "test", "validation")
        for side in ("", ".rejected")
    },
    "ledger.jsonl": {"row": int, "outcome": str, "reasons": list},
    "events.jsonl": {"event": str, "step": int},
    "base.jsonl": _ANSWER,
    "tuned.jsonl": _ANSWER,
}
# Of an event beside the two facts above, by its kind.
EVENT_FACTS: Mapping[str, Mapping[str, Any]] = {
    "step": {"loss": int | float},
    "validation": {"loss": int | float},
    "sample": {"row": int, "prompt": str, "reference": str, "response": str},
}
