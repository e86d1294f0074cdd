"""`tutelage data split`: one file of rows as three, as `prepare` would part them."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    open_rows,
    refuse_taken,
    tell_reasons,
    write_files,
)
from tutelage.cli.options import Split
from tutelage.cli.views import console
from tutelage.codes import Message

SHARES = ("data.split", "data.train_share", "data.test_share")


def split(
    options: SourceOptions,
    output: OutputOptions,
    *,
    split: Split = None,
    train_share: Annotated[
        float | None, Parameter(help="Share of the rows to train on.", show_default=False)
    ] = None,
    test_share: Annotated[
        float | None, Parameter(help="Share of the rows to test on; the rest validates.", show_default=False)
    ] = None,
    ledger: Ledger = None,
) -> None:
    """Part rows into training, test and validation: OUTPUT rows.jsonl becomes rows.train.jsonl and so on."""
    from tutelage.data.dataset.splits import find_leaks, split_rows
    from tutelage.data.quality.label_names import FORMAT, trim_labels
    from tutelage.data.sources.writing import with_row_numbers
    from tutelage.run.folder import SPLITS

    files = {name: part_of(output.output, name) for name in SPLITS}
    refuse_taken(output, *files.values(), ledger=ledger)
    given = {
        "--split data.split": split,
        "--train-share data.train_share": train_share,
        "--test-share data.test_share": test_share,
    }
    opened = open_rows(options, verb="split", honoured=SHARES, overrides=given)
    settings, rows = opened.settings, opened.conversations.rows
    asked = [
        trim_labels(row, settings.label_separator)[0] if row.format == FORMAT else row
        for row in rows
        if row.turns
    ]
    parts = split_rows(
        asked, rule=settings.split, train_share=settings.train_share, test_share=settings.test_share
    )
    left_out = {row.row: Message("data.no_messages", "there are no turns") for row in rows if not row.turns}
    records = {record.row: record for record in opened.source.records}
    written = {}
    for name, part in parts.items():
        if part:
            written[files[name]] = with_row_numbers([records[row.row] for row in part])
        else:
            console.say(f"No row is in {name}, so {files[name]} is not written.")
    for name, leaked in find_leaks(parts).items():
        if leaked:
            told = (
                f"{len(leaked):,} {name} rows have a prompt that is also trained on. --split group keeps equal"
                " prompts together."
            )
            console.warn(Message("data.leak", told))
    write_files(output, written, settings)
    tell_reasons(output, ledger, left_out, what="left out", outcome="dropped", repairs=opened.repairs)


def part_of(path: Path, name: str) -> Path:
    """Return the name of one part: rows.csv.gz becomes rows.train.csv.gz."""
    packed = path.name[-3:] if path.name.lower().endswith(".gz") else ""
    plain = path.with_name(path.name.removesuffix(packed))
    return plain.with_name(f"{plain.stem}.{name}{plain.suffix}{packed}")
