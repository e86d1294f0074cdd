"""One file of rows as three, as `prepare` would part them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.run.folder import SPLITS
from tutelage.stages.data.rows import SourceRows


@dataclass(frozen=True)
class Parts:
    """The rows of each split as they are written, none for some; which of them leak, and why others are in none."""

    values: Mapping[str, Sequence[dict[str, Any]]]
    settings: DataSettings
    left_out: Mapping[int, Message]
    leaks: Mapping[str, Sequence[int]]  # rows whose prompt is also trained on


def split(rows: SourceRows) -> Parts:
    """Part rows into training, test and validation, as the recipe's shares say."""
    from tutelage.data.dataset.splits import find_leaks, split_rows
    from tutelage.data.quality.label_names import trim_labels
    from tutelage.data.sources.writing import with_row_numbers

    settings, conversations = rows.settings, rows.conversations.rows
    asked = [
        trim_labels(row, settings.label_separator)[0] if row.is_labelled else row
        for row in conversations
        if row.messages
    ]
    parts = split_rows(
        asked, rule=settings.split, train_size=settings.train_size, test_size=settings.test_size
    )
    records = {record.row: record for record in rows.source.records}
    return Parts(
        values={name: with_row_numbers([records[row.row] for row in part]) for name, part in parts.items()},
        settings=settings,
        left_out={
            row.row: Message("data.no_messages", "it has no messages")
            for row in conversations
            if not row.messages
        },
        leaks=find_leaks(parts),
    )


def part_files(path: Path) -> dict[str, Path]:
    """Return the file of each split beside a path: rows.csv.gz becomes rows.train.csv.gz and so on."""
    return {name: _part_of(path, name) for name in SPLITS}


def _part_of(path: Path, name: str) -> Path:
    packed = path.name[-3:] if path.name.lower().endswith(".gz") else ""
    plain = path.with_name(path.name.removesuffix(packed))
    return plain.with_name(f"{plain.stem}.{name}{plain.suffix}{packed}")
