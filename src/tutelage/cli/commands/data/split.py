"""`tutelage data split`: split rows into three files, like `prepare`."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.commands.data.files import (
    Ledger,
    OutputOptions,
    SourceOptions,
    read_rows_of,
    require_writable_outputs,
    write_files,
    write_reasons,
)
from tutelage.cli.options import Split
from tutelage.cli.views.rows import show_parts
from tutelage.stages.data.split import part_files
from tutelage.stages.data.split import split as split_rows

SHARES = ("data.split", "data.train_size", "data.test_size")


def split(
    options: SourceOptions,
    output: OutputOptions,
    *,
    split: Split = None,
    train_size: Annotated[float | None, Parameter(help="Share of training rows.", show_default=False)] = None,
    test_size: Annotated[
        float | None, Parameter(help="Share of test rows; the rest is for validation.", show_default=False)
    ] = None,
    ledger: Ledger = None,
) -> None:
    """Split rows into training, test and validation files.

    rows.jsonl becomes rows.train.jsonl, rows.test.jsonl and rows.validation.jsonl.
    """
    files = part_files(output.output)
    require_writable_outputs(output, *files.values(), ledger=ledger)
    given = {
        "--split data.split": split,
        "--train-size data.train_size": train_size,
        "--test-size data.test_size": test_size,
    }
    rows = read_rows_of(options, command="split", honoured=SHARES, overrides=given)
    parts = split_rows(rows)
    show_parts(parts, files)
    written = {files[name]: values for name, values in parts.values.items() if values}
    write_files(output, written, parts.settings)
    write_reasons(output, ledger, rows, parts.left_out)
