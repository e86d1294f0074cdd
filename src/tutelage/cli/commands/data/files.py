"""What the verbs of `tutelage data` share: rows read from a source, rows written, and what is said of both."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.opening import opened_inputs
from tutelage.cli.options import Assignments, Debug, Map, as_path, as_recipe, column_map
from tutelage.cli.views import console
from tutelage.codes import Message
from tutelage.config.recipe import DataSettings, Recipe
from tutelage.config.recipe_file import load
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.folder import write_json_lines
from tutelage.stages.inputs import ABOUT_TRAINING
from tutelage.system.storage import publish_bytes

ROWS_SHOWN = 6
NO_REPAIRS: Mapping[int, Sequence[Message]] = {}
# What decides how a source is read; a verb may honour more.
READING = tuple(
    f"data.{key}"
    for key in (
        *("source", "sha256", "hub_split", "encoding", "delimiter", "quoting", "header", "format", "map"),
        *("instruction", "coerce", "max_file_bytes"),
    )
)


Ledger = Annotated[
    Path | None,
    Parameter(
        help="List every row that is not as it was, or not there, with its reason, in this file of JSON lines.",
        converter=as_path,
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class SourceOptions:
    """Where rows come from."""

    data: Annotated[str, Parameter(help="Where the rows are, as for --data of the other verbs.")]
    _: KW_ONLY
    recipe: Annotated[
        Path | None,
        Parameter(
            help="A recipe, by file or by name, whose settings of data and model are taken.",
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
    """Where rows go."""

    output: Annotated[
        Path,
        Parameter(
            help="The file to write: .json, .jsonl, .ndjson, .csv, .tsv or .parquet, each also with .gz.",
            converter=as_path,
        ),
    ]
    _: KW_ONLY
    overwrite: Annotated[
        bool, Parameter(help="Replace files that are there.", negative="", show_default=False)
    ] = False
    dry_run: Annotated[
        bool, Parameter(help="Say what would be written; write nothing.", negative="", show_default=False)
    ] = False


@dataclass(frozen=True)
class OpenedRows:
    """A source's records and their conversations, in one order, and the settings that they were read with."""

    source: Any
    recipe: Recipe
    conversations: Any

    @property
    def settings(self) -> DataSettings:
        return self.recipe.data

    @property
    def repairs(self) -> dict[int, tuple[Message, ...]]:
        """What the reader left out of rows, by row."""
        return {row.row: row.repairs for row in self.conversations.rows if row.repairs}

    def checked(self) -> list[Any]:
        """Return what `prepare` would make of each row."""
        from tutelage.data.dataset.preparation import sizes_of
        from tutelage.data.quality.checks import check_rows

        pairs = self.recipe.objective.has_pairs
        return check_rows(self.conversations.rows, self.settings, sizes_of(self.source), pairs=pairs)


def open_rows(
    options: SourceOptions,
    *,
    verb: str,
    honoured: Collection[str] = (),
    overrides: Mapping[str, Any] | None = None,
    is_quiet: bool = False,
    takes_kto: bool = True,
) -> OpenedRows:
    """Read the rows of a source; a setting that is given for this verb and means nothing to it is refused.

    A verb that loses the label of a row must not take KTO rows, whose answers may be unwanted.
    """
    from tutelage.data.formats.formats import read_conversations

    given = {"DATA data.source": options.data, "--map data.map": column_map(options.map), **(overrides or {})}
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
            f"`tutelage data {verb}` has no use for {', '.join(idle)}. Leave it out.",
        )
    with opened_inputs(loaded) as (inputs, _):
        source = inputs.read_data(keeps_large_rows=True)
    read = read_conversations(
        source.records, source=source.name, settings=loaded.recipe.data, takes_kto=takes_kto
    )
    if not is_quiet:
        _show_read(source, read)
    return OpenedRows(source, loaded.recipe, read)


def tokens_of(opened: OpenedRows, checked: Sequence[Any], renderer: Any) -> dict[int, int]:
    """Return the tokens of every row of which the model would see any."""
    from tutelage.data.dataset.token_figures import count_row_tokens

    source = opened.source
    files = {record.row: record.file for record in source.records}
    return count_row_tokens(
        checked,
        renderer,
        loss_on=opened.settings.loss_on,
        file_of=lambda row: files[row] or source.name,
    )


def _show_read(source: Any, read: Any) -> None:
    formats = ", ".join(f"{count:,} {name}" for name, count in read.formats.items())
    console.say(f"{_counted(len(read.rows))} read from {source.name} ({source.kind}): {formats}.")
    for note in (*source.notes, *read.notes):
        if note.code not in ABOUT_TRAINING:  # nothing is trained here
            console.note(note.code, note.text)
    repairs: dict[str, list[Message]] = {}
    for row in read.rows:
        for repair in {repair.code: repair for repair in row.repairs}.values():
            repairs.setdefault(repair.code, []).append(repair)
    for code, found in repairs.items():
        console.note(code, f"{_counted(len(found))} repaired; the first: {found[0].text}")


def refuse_taken(output: OutputOptions, *paths: Path, ledger: Path | None = None) -> None:
    """Stop before any work when a file could not be written, or would be lost."""
    from tutelage.data.sources.writing import refuse_unknown_ending

    for path in paths:
        refuse_unknown_ending(path)
    for path in (*paths, *([ledger] if ledger else [])):
        if path.is_dir():
            raise RunFolderError("cli.output_is_a_folder", f"{path} is a folder. Name a file in it.")
        if path.exists() and not output.overwrite and not output.dry_run:
            raise RunFolderError(
                "cli.output_exists", f"{path} is there already. Choose another name, or add --overwrite."
            )


def write_files(
    output: OutputOptions, files: Mapping[Path, Sequence[dict[str, Any]]], settings: DataSettings
) -> None:
    """Write rows to their files and say so; no file is written where one of them cannot hold its rows.

    `settings` are those with which the files will be read again.
    """
    from tutelage.data.rows.records import SOURCE_ROW
    from tutelage.data.sources.tables import cells_that_would_run
    from tutelage.data.sources.writing import file_of_rows, is_text_table

    contents = {path: file_of_rows(path, rows, settings) for path, rows in files.items()}
    for path, content in contents.items():
        if not output.dry_run:
            publish_bytes(path, content)
        would = "would be written" if output.dry_run else "written"
        console.say(f"{_counted(len(files[path]))} {would} to {path}, {len(content):,} bytes.")
        cells = cells_that_would_run(files[path]) if is_text_table(path) else []
        if cells:
            place, column = cells[0]
            row = files[path][place].get(SOURCE_ROW, place)
            console.note(
                "convert.formula_in_cell",
                f"{path} has {_counted_cells(len(cells))} that a spreadsheet would run as a formula, the first of them"
                f" {column!r} of row {row}. They are written unchanged, since the file is data; a spreadsheet should"
                " import its columns as text.",
            )


def tell_reasons(
    output: OutputOptions,
    ledger: Path | None,
    reasons: Mapping[int, Message],
    *,
    what: str,
    outcome: str,
    repairs: Mapping[int, Sequence[Message]] = NO_REPAIRS,
) -> None:
    """Say of which rows what became, by reason, and list every one of them in the ledger where there is one.

    The ledger lists the rows too of which the reader left something out, and that are written without it.
    """
    if ledger and not output.dry_run:
        told = {row: ("repaired", found) for row, found in repairs.items()}
        told |= {row: (outcome, (reason, *repairs.get(row, ()))) for row, reason in reasons.items()}
        entries = (
            {"row": row, "outcome": told[row][0], "reasons": [reason.to_record() for reason in told[row][1]]}
            for row in sorted(told)
        )
        write_json_lines(ledger, entries)
    console.say(f"{_counted(len(reasons))} {what}{':' if reasons else '.'}")
    if reasons:
        rows = [
            [
                f"{count:,}",
                reason.text,
                _first_rows([row for row, why in sorted(reasons.items()) if why == reason]),
            ]
            for reason, count in Counter(reasons.values()).most_common()
        ]
        console.table(["rows", "reason", "which"], rows, numeric=(0,))
    if output.dry_run:
        console.say("\nDry run: nothing was written.")


def _first_rows(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:ROWS_SHOWN])) + (" …" if len(rows) > ROWS_SHOWN else "")


def _counted_cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _counted(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
