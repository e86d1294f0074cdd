"""Shared code of the `tutelage data` commands: options, reading rows, and writing rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.options import Assignments, Debug, Map, as_path, as_recipe, column_map
from tutelage.cli.sessions import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.rows import show_read, show_reasons, show_written
from tutelage.codes import Message
from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.config.recipe_file import load
from tutelage.errors import RecipeError
from tutelage.stages.data.rows import SourceRows, read_rows
from tutelage.stages.data.writing import encode_files, require_free_paths, write_file, write_ledger

*OTHERS, LAST = FILE_FORMATS
# Settings that affect reading; a command may support more.
READING = tuple(
    f"data.{key}"
    for key in (
        *(
            "source",
            "sha256",
            "hub_split",
            "encoding",
            "delimiter",
            "quoting",
            "header",
            "format",
            "column_map",
        ),
        *("instruction", "coerce", "max_file_bytes"),
    )
)


Ledger = Annotated[
    Path | None,
    Parameter(
        help="Write every changed or dropped row with its reason to this JSONL file.",
        converter=as_path,
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class SourceOptions:
    """Where rows are read from."""

    data: Annotated[
        str, Parameter(help="Your rows: a file, a folder, a URL, hf:owner/name or a built-in data set.")
    ]
    _: KW_ONLY
    recipe: Annotated[
        Path | None,
        Parameter(
            help="Take the data and model settings from this recipe (a file or a name).",
            converter=as_recipe,
            show_default=False,
        ),
    ] = None
    map: Map = ()
    set: Assignments = ()
    debug: Debug = False


@Parameter(name="*")
@dataclass(frozen=True)
class OutputOptions:
    """Where rows are written to."""

    output: Annotated[
        Path,
        Parameter(
            help=f"File to write: {', '.join(OTHERS)} or {LAST}; .gz is allowed.",
            converter=as_path,
        ),
    ]
    _: KW_ONLY
    overwrite: Annotated[bool, Parameter(help="Replace existing files.", negative="", show_default=False)] = (
        False
    )
    dry_run: Annotated[
        bool, Parameter(help="Print what would be written; write nothing.", negative="", show_default=False)
    ] = False


def read_rows_of(
    options: SourceOptions,
    *,
    command: str,
    honoured: Collection[str] = (),
    overrides: Mapping[str, Any] | None = None,
    is_quiet: bool = False,
    keeps_fields: bool = True,
) -> SourceRows:
    """Read the rows of a source and report it; raise RecipeError for settings that the command does not use.

    Commands that do not keep additional fields reject rows that need them.
    """
    given = {
        "DATA data.source": options.data,
        "--map data.column_map": column_map(options.map),
        **(overrides or {}),
    }
    loaded = load(
        options.recipe, {name: value for name, value in given.items() if value is not None}, options.set
    )
    idle = [
        name
        for name, origin in loaded.origins.items()
        if origin == "--set" and name not in (*READING, *honoured)
    ]
    if idle:
        raise RecipeError(
            "cli.option_not_supported",
            f"`tutelage data {command}` does not use {', '.join(idle)}. Leave it out.",
        )
    with opened_inputs(loaded) as (inputs, _):
        rows = read_rows(inputs, keeps_fields=keeps_fields)
    if not is_quiet:
        show_read(rows)
    return rows


def require_writable_outputs(output: OutputOptions, *paths: Path, ledger: Path | None = None) -> None:
    """Stop before any work if a file could not be written, or would be overwritten."""
    require_free_paths(paths, ledger=ledger, overwrite=output.overwrite or output.dry_run)


def write_files(
    output: OutputOptions, files: Mapping[Path, Sequence[dict[str, Any]]], settings: DataSettings
) -> None:
    """Write rows to their files and report it; nothing is written if one file cannot hold its rows."""
    for file in encode_files(files, settings):
        if not output.dry_run:
            write_file(file)
        show_written(file, is_dry_run=output.dry_run)


def write_reasons(
    output: OutputOptions,
    ledger: Path | None,
    rows: SourceRows,
    left_out: Mapping[int, Message],
    *,
    what: str = "left out",
    outcome: str = "dropped",
) -> None:
    """Report rows by reason, and list each of them in the ledger, if there is one.

    The ledger also lists rows that were written with repairs.
    """
    if ledger and not output.dry_run:
        write_ledger(ledger, left_out, outcome=outcome, repairs=rows.repairs)
    show_reasons(left_out, what=what)
    if output.dry_run:
        console.print_message("\nDry run: nothing was written.")
