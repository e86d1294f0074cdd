"""`tutelage data convert`: convert rows to another format or file type."""

from typing import TYPE_CHECKING, Annotated, Literal

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
from tutelage.cli.views.rows import show_left_behind
from tutelage.config.extensions import ROW_FORMATS
from tutelage.stages.data.convert import check_conversion
from tutelage.stages.data.convert import convert as convert_rows

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[*ROW_FORMATS]  # so that the parser and the help know the names


def convert(
    options: SourceOptions,
    output: OutputOptions,
    *,
    to: Annotated[
        FormatName | None,
        Parameter(help="Format of the output rows. Default: keep each row's format.", show_default=False),
    ] = None,
    chosen_only: Annotated[
        bool,
        Parameter(help="Drop the rejected answers of preference rows.", negative="", show_default=False),
    ] = False,
    drop_unfit: Annotated[
        bool,
        Parameter(
            help="Drop rows that the output format cannot hold instead of stopping.",
            negative="",
            show_default=False,
        ),
    ] = False,
    ledger: Ledger = None,
) -> None:
    """Write rows in another format or file type.

    Each row keeps its number as `source_row`.
    """
    check_conversion(to, chosen_only=chosen_only, drop_unfit=drop_unfit)
    require_writable_outputs(output, output.output, ledger=ledger)
    rows = read_rows_of(options, command="convert", keeps_fields=to is None)
    made = convert_rows(rows, to, chosen_only=chosen_only, drop_unfit=drop_unfit)
    show_left_behind(made, to)
    write_files(output, {output.output: made.values}, made.settings)
    write_reasons(output, ledger, rows, made.left_out)
