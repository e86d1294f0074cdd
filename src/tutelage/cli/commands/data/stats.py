"""`tutelage data stats`: what some rows are, in numbers."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.commands.data.files import SourceOptions, open_rows, tokens_of
from tutelage.cli.opening import opened_inputs
from tutelage.cli.views import console
from tutelage.config.recipe_file import LoadedRecipe

CLUSTERS_SHOWN = 5
ROWS_SHOWN = 8


def stats(
    options: SourceOptions,
    *,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON.", negative="", show_default=False)
    ] = False,
) -> None:
    """Count rows, fields, turns, languages, lengths and near-duplicates; nothing is judged or written."""
    from tutelage.data.lint.description import describe

    opened = open_rows(
        options,
        verb="stats",
        honoured=("data.prompt", "data.loss_on", "model.name_or_path"),
        is_quiet=json,
    )
    read = opened.conversations
    found = describe(opened.source.records, read.rows, read.formats, tokens=_tokens(opened))
    if json:
        console.say_json(found.to_record())
    else:
        _show(found)


def _tokens(opened: Any) -> list[int]:
    with opened_inputs(LoadedRecipe(opened.recipe, {})) as (inputs, _):
        if not inputs.has_model():
            return []
        inputs.warn_of_larger_tokenizer()
        return list(tokens_of(opened, opened.checked(), inputs.renderer).values())


def _show(found: Any) -> None:
    console.say(
        f"{found.repeated_prompts:,} rows repeat the prompt of an earlier row; {found.distinct_answers:,} answers are"
        " distinct."
    )
    console.say(_shares("Fields", found.fields))
    console.say(_shares("Turns", found.turns))
    console.say(_shares("Languages", found.languages))
    console.say()
    console.heading("Lengths")
    shares = list(next(iter(found.lengths.values()), {}))
    rows = [[what, *(f"{value:,}" for value in at.values())] for what, at in found.lengths.items()]
    if rows:
        console.table(["", *shares], rows, numeric=range(1, len(shares) + 1))
    console.say()
    console.heading("Near-duplicates")
    together = sum(map(len, found.clusters))
    console.say(
        f"{together:,} rows stand in {len(found.clusters):,} clusters; --per-cluster of `filter` thins them."
    )
    for note in found.notes:
        console.note(note.code, note.text)
    for cluster in found.clusters[:CLUSTERS_SHOWN]:
        more = " …" if len(cluster) > ROWS_SHOWN else ""
        console.say(f"  {len(cluster):,} rows: {', '.join(map(str, cluster[:ROWS_SHOWN]))}{more}")


def _shares(what: str, counts: Mapping[Any, int]) -> str:
    return f"{what}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}."
