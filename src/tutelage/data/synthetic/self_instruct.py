"""Generate new rows from a few seed rows, rejecting near-duplicates.

Based on "Self-Instruct" (Wang and others, arXiv 2212.10560): examples come from the seeds and from generated
rows, and similar rows are filtered out. Similarity is measured as in near_duplicates.py, where the paper uses
ROUGE-L.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.data.quality.checks import check_rows
from tutelage.data.quality.near_duplicates import LikePrompts
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.rows.conversations import Conversation, single_exchange_of
from tutelage.data.synthetic.cached_model import Messages, RememberingModel, object_schema, texts_in
from tutelage.llm.reply_texts import unwrapped

FIELDS = ("instruction", "input", "output")
EXAMPLES_SHOWN = 4
OF_THEM_MADE = 1  # once there are generated rows


@dataclass(frozen=True)
class GeneratedRow:
    """A new row, and the numbers of the seed rows that the model was shown."""

    row: Conversation
    made_from: tuple[int, ...]


@dataclass(frozen=True)
class SelfInstructResult:
    """The accepted rows, counts of rejected ones by reason, and the number of requests."""

    rows: list[GeneratedRow]
    refused: dict[str, int]
    requests: int


def self_instruct_rows(
    seeds: Sequence[Conversation],
    model: RememberingModel,
    *,
    rows: int,
    rows_per_request: int,
    max_requests: int,
    seed: int,
    progress: Callable[[int], None] = lambda taken: None,
) -> SelfInstructResult:
    """Request new rows until there are `rows`, or `max_requests` were made; a pure function of the replies."""
    known = LikePrompts()
    for one in seeds:
        known.add(normalised_prompt(one))
    taken: list[GeneratedRow] = []
    refused: Counter[str] = Counter()
    questions = 0
    while len(taken) < rows and questions < max_requests:
        from_made = _draw([one.row for one in taken], OF_THEM_MADE, seed, questions)
        from_seeds = _draw(seeds, EXAMPLES_SHOWN - len(from_made), seed, questions)
        messages = question([*from_seeds, *from_made], rows_per_request)
        reply = model.ask(messages, seed=seed + questions, json_schema=schema(rows_per_request))
        questions += 1
        before = len(taken)
        for candidate in _candidates(reply):
            row = (
                None
                if candidate is None
                else single_exchange_of(len(taken), *(candidate[field] for field in FIELDS))
            )
            reason = _fault(row, known) or ("more rows than requested" if len(taken) == rows else None)
            if row is None or reason:
                refused[str(reason)] += 1
                continue
            known.add(normalised_prompt(row))
            taken.append(GeneratedRow(row, tuple(one.row for one in from_seeds)))
        progress(len(taken) - before)
    return SelfInstructResult(taken, dict(refused), questions)


def question(shown: Sequence[Conversation], rows: int) -> Messages:
    """Return the request as a single message, which every chat template supports."""
    examples = "\n".join(json.dumps(_alpaca(one), ensure_ascii=False) for one in shown)
    return [
        {
            "role": "user",
            "content": f"Here are {len(shown)} tasks for an assistant, each with its right answer, one a line:\n\n"
            f"{examples}\n\n"
            f"Write {rows} new tasks of the same kind, in the same languages. Each has an instruction, an input"
            " that the instruction is about (empty where none is needed) and an output, which is the right and"
            " complete answer. Let them differ from the examples and from each other in what they ask, not in"
            ' names and numbers alone. Reply with JSON: {"rows": [{"instruction": …, "input": …, "output": …}, …]}',
        }
    ]


def schema(rows: int) -> dict[str, Any]:
    """Return the JSON schema of a reply."""
    listed = {"type": "array", "items": object_schema(*FIELDS), "minItems": 1, "maxItems": rows}
    return object_schema() | {"properties": {"rows": listed}, "required": ["rows"]}


def _draw(rows: Sequence[Conversation], count: int, seed: int, place: int) -> list[Conversation]:
    """Draw examples by a hash of the seed, the number of the request and the row."""

    def lot(row: Conversation) -> bytes:
        return hashlib.sha256(f"{seed} {place} {row.row}".encode()).digest()

    return sorted(rows, key=lot)[:count]


def _alpaca(row: Conversation) -> dict[str, str]:
    asked, answered = row.messages
    return {"instruction": asked.text, "input": asked.input, "output": answered.text}


def _candidates(reply: str) -> list[dict[str, str] | None]:
    """Return the rows of a reply; None for each invalid row, and [None] for an invalid reply."""
    try:
        value = json.loads(unwrapped(reply))
    except (ValueError, RecursionError):
        return [None]
    rows = value.get("rows") if isinstance(value, dict) else None
    return [texts_in(row, *FIELDS) for row in rows] if isinstance(rows, list) and rows else [None]


def _fault(row: Conversation | None, known: LikePrompts) -> str | None:
    """Return the reason for rejecting a row, or None."""
    if row is None:
        return "not a readable row"
    (checked,) = check_rows([row])
    if checked.outcome == "dropped":
        return checked.reasons[0].text
    if checked.outcome == "repaired":
        return f"would need a repair: {checked.reasons[0].text}"
    return "near-duplicate of an existing row" if known.is_like_any(normalised_prompt(row)) else None
