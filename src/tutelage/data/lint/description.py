"""Describe rows in numbers: counts, lengths, languages and clusters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.codes import Message
from tutelage.data.lint.report import spoken
from tutelage.data.lint.selection import clusters
from tutelage.data.quality.checks import count_repeated_prompts
from tutelage.data.quality.languages import language_of
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import Record

TENTHS = {"shortest": 0, "half up to": 5, "nine of ten up to": 9, "longest": 10}


@dataclass(frozen=True)
class Description:
    """Counts by category; `lengths` gives quantiles over the rows for each measured length."""

    rows: int
    formats: dict[str, int]
    fields: dict[str, int]
    messages: dict[int, int]
    languages: dict[str, int]
    lengths: dict[str, dict[str, int]]
    repeated_prompts: int
    distinct_answers: int
    clusters: list[list[int]]
    notes: list[Message]

    def to_record(self) -> dict[str, Any]:
        """Return the output of `tutelage data stats --json`."""
        return {
            "rows": self.rows,
            "formats": self.formats,
            "fields": self.fields,
            "messages": {str(number): count for number, count in self.messages.items()},
            "languages": self.languages,
            "lengths": self.lengths,
            "repeated_prompts": self.repeated_prompts,
            "distinct_answers": self.distinct_answers,
            "clusters": self.clusters,
            "notes": [note.to_record() for note in self.notes],
        }


def describe(
    records: Sequence[Record],
    rows: Sequence[Conversation],
    formats: Mapping[str, int],
    *,
    tokens: Sequence[int] = (),
) -> Description:
    """Describe all rows, including those that a check would drop; `tokens` are their lengths if a model is
    available.
    """
    spoken_rows = [row for row in rows if row.messages]
    measured = {
        "prompt, characters": [sum(len(turn.content) for turn in row.context) for row in spoken_rows],
        "answer, characters": [len(row.response) for row in spoken_rows],
        "whole, tokens": list(tokens),
    }
    notes: list[Message] = []
    return Description(
        rows=len(rows),
        formats=dict(formats),
        fields=dict(Counter(field for record in records for field in record.value).most_common()),
        messages=dict(sorted(Counter(len(row.messages) for row in rows).items())),
        languages=dict(Counter(language_of(spoken(row)) for row in rows).most_common()),
        lengths={what: at_quantiles(lengths) for what, lengths in measured.items() if lengths},
        repeated_prompts=count_repeated_prompts(spoken_rows),
        distinct_answers=len({row.response for row in spoken_rows}),
        clusters=clusters(spoken_rows, note=notes.append),
        notes=notes,
    )


def at_quantiles(lengths: Sequence[int]) -> dict[str, int]:
    """Return quantiles of the lengths, in tenths."""
    ordered = sorted(lengths)
    return {name: ordered[max(-(-tenths * len(ordered) // 10) - 1, 0)] for name, tenths in TENTHS.items()}
