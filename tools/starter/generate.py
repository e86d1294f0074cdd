"""Write the bundled starter data set: `python -m tools.starter.generate`."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.starter.extraction import extraction_tasks
from tools.starter.formatting import formatting_tasks
from tools.starter.knowledge import knowledge_tasks
from tools.starter.lists_and_records import list_and_record_tasks
from tools.starter.mistakes_to_mend import mistake_tasks
from tools.starter.numbers import number_tasks
from tools.starter.rows import StarterRow, Task, rows_of
from tools.starter.sentence_labels import sentence_label_tasks
from tools.starter.small_edits import small_edit_tasks
from tools.starter.spelling_and_words import spelling_and_word_tasks
from tools.starter.tense_and_voice import tense_and_voice_tasks
from tools.starter.units_and_sequences import unit_and_sequence_tasks
from tools.starter.word_forms import word_form_tasks
from tools.starter.word_groups import word_group_tasks

STARTER_FILE = Path(__file__).parents[2] / "src" / "tutelage" / "data" / "starter" / "starter.json"


def generate_rows(seed: int = 123) -> list[StarterRow]:
    """Give all rows of the starter data set, shuffled, with their task and checker."""
    rng = random.Random(seed)
    rows = [row for task in all_tasks() for row in rows_of(task, rng)]
    rng.shuffle(rows)
    return rows


def all_tasks() -> tuple[Task, ...]:
    """Give the tasks of every theme."""
    return (
        *spelling_and_word_tasks(),
        *word_form_tasks(),
        *word_group_tasks(),
        *tense_and_voice_tasks(),
        *small_edit_tasks(),
        *mistake_tasks(),
        *sentence_label_tasks(),
        *knowledge_tasks(),
        *extraction_tasks(),
        *formatting_tasks(),
        *list_and_record_tasks(),
        *number_tasks(),
        *unit_and_sequence_tasks(),
    )


def json_text_of(rows: Iterable[StarterRow]) -> str:
    """Give the rows as a JSON array with one row a line."""
    records = [{"instruction": row.instruction, "input": row.input, "output": row.output} for row in rows]
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    return f"[\n{lines}\n]\n"


def main() -> None:
    """Rewrite the bundled file."""
    rows = generate_rows()
    STARTER_FILE.write_bytes(json_text_of(rows).encode("utf-8"))
    sys.stdout.write(f"wrote {len(rows)} rows to {STARTER_FILE.name}\n")


if __name__ == "__main__":
    main()
