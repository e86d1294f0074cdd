"""What an evaluation writes beside the test rows, added to a run that was made by code."""

from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.run.folder import RunFolder, read_json, write_json, write_json_lines, write_text
from tutelage.run.lines import read_json_lines


def add_set(run: RunFolder, name: str, scores: Mapping[int, float], *, metric: str = "contains") -> None:
    """Add a named set whose tuned scores are given by row, in the order given; the base model scores 0."""
    table = f'\n[evaluation.sets.{name}]\nsource = "{name}.jsonl"\nmetric = "{metric}"\n'
    write_text(run.recipe, run.recipe.read_text() + table)
    metrics = read_json(run.metrics)
    metrics["sets"][name] = {"source": f"{name}.jsonl", "metric": metric, "rows": len(scores), "dropped": 0}
    write_json(run.metrics, metrics)
    write_json_lines(run.test_set(name), [_set_row(row, score) for row, score in scores.items()])


def _set_row(row: int, score: float) -> dict[str, Any]:
    prompt = f"{WORDS[row % len(WORDS)]} {row * 7919}?"
    answers = {
        variant: {"response": "north", "score": value} for variant, value in (("base", 0.0), ("tuned", score))
    }
    return {"row": row, "prompt": prompt, "reference": "north", **answers}


WORDS = ("Where lies the town", "Whose river is", "Which road leads to", "How far off is", "Who was born in")


# A judge whose own figures no test here asks for.
JUDGED: dict[str, Any] = {
    "verdict": "no difference detectable",
    "sentence": "No difference detectable.",
    "rows": 0,
    "missing_scores": 0,
    "score": dict.fromkeys(("base", "tuned", "difference", "low", "high", "minimum_detectable_effect"))
    | {"higher": 0, "equal": 0, "lower": 0},
    "bounds": {"worst": None, "best": None},
    "preference": dict.fromkeys(("win", "tie", "loss", "missing", "disagreeing"), 0)
    | dict.fromkeys(("win_rate", "low", "high", "worst_win_rate", "best_win_rate", "swaps_agree")),
    "length": {"base_tokens": None, "tuned_tokens": None, "adjusted_difference": None},
    "self_test": {"passed": True, "checks": [], "fault": None},
    "labels": None,
    "notes": [],
    "answered_as": [],
}


def add_judge(run: RunFolder, name: str, scores: Sequence[int | None], *, trusted: bool = True) -> None:
    """Add a judge whose scores of the tuned model are given in the order of the test rows."""
    rows = [answer["row"] for answer in read_json_lines(run.responses("tuned"))]
    write_json(
        run.judges, {"format": 2, "protocol_sha256": "beef", "judges": {name: JUDGED | {"trusted": trusted}}}
    )
    records = [
        {"judge": name, "row": row, "kind": "score", "variant": variant, "value": value, "responses": []}
        for row, score in zip(rows, scores, strict=True)
        for variant, value in (("base", 0), ("tuned", score))
    ]
    write_json_lines(run.judgements, records)


def add_passages(run: RunFolder, bits: Mapping[int, float]) -> None:
    """Add the tuned model's bits per byte of passages, by their number."""
    write_json_lines(
        run.passages,
        [
            {"passage": index, "kind": "prose", "sha256": f"{index:064x}", "base": 1.0, "tuned": value}
            for index, value in bits.items()
        ],
    )
