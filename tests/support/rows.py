"""Rows made by code, as a source holds them and as the data room passes them on."""

import csv
import io
import json
from pathlib import Path

import pyarrow
from pyarrow import parquet

from tutelage.data.dataset.prepared_rows import RowsWriter, id_type
from tutelage.data.rows.conversations import Conversation, single_exchange_of
from tutelage.data.rows.records import Record, Source
from tutelage.run.folder import split_files
from tutelage.tree.examples import PreparedRow

WORDS = (
    "pear",
    "plum",
    "fig",
    "lime",
    "kiwi",
    "date",
    "quince",
    "melon",
    "peach",
    "cherry",
    "grape",
    "mango",
)

SPELLINGS = [
    {"instruction": f"Spell word {number}.", "input": "", "output": f"word {number}"} for number in range(4)
]


def make_records(values: list) -> list[Record]:
    """Return values as a JSON lines file would give them: row n on line n + 1."""
    return [Record(row, row + 1, value) for row, value in enumerate(values)]


def make_rows(triples: list[tuple[str, str, str]]) -> list[Conversation]:
    """Return (instruction, input, output) triples as rows."""
    return [single_exchange_of(row, *triple) for row, triple in enumerate(triples)]


def alpaca_values(count: int) -> list[dict[str, str]]:
    """Return so many distinct Alpaca rows, every third with an input."""
    return [
        {
            "instruction": f"Spell the word {WORDS[number % len(WORDS)]} for guest {number}.",
            "input": f"Guest {number} is in a hurry." if number % 3 == 0 else "",
            "output": " ".join(WORDS[number % len(WORDS)]),
        }
        for number in range(count)
    ]


def write_rows(path: Path, values: list) -> Path:
    """Write values as a JSON array with one value a line."""
    path.write_text("[\n" + ",\n".join(json.dumps(value) for value in values) + "\n]\n", encoding="utf-8")
    return path


def json_lines_of(rows: list[dict]) -> bytes:
    """Return rows as JSON lines whose texts stand unescaped."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def csv_of(rows: list[dict], delimiter: str = ",") -> bytes:
    """Return rows of texts as CSV, written by Python's own writer."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet_of(rows: list[dict]) -> bytes:
    """Return rows as Parquet, written by pyarrow's own writer."""
    target = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), target)
    return target.getvalue()


def values_of(source: Source) -> list:
    """Return what the records of a source hold."""
    return [record.value for record in source.records]


def write_split(folder: Path, name: str, rows: list[PreparedRow]) -> None:
    """Write the rows of a split as `prepare` does."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = RowsWriter(split_files(folder, name), id_type(2**16))
    for row in rows:
        writer.add(row)
    writer.close()
