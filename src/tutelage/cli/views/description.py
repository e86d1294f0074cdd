"""Print a description of rows in numbers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tutelage.cli.views import console

if TYPE_CHECKING:
    from tutelage.data.lint.description import Description

CLUSTERS_SHOWN = 5
ROWS_SHOWN = 8
SHARES = {"half up to": "median", "nine of ten up to": "p90"}  # keys of --json as column headings


def show_description(found: "Description") -> None:
    """Print the statistics, and the first clusters of near-duplicates."""
    console.print_message(
        f"{found.repeated_prompts:,} rows repeat the prompt of an earlier row; {found.distinct_answers:,} answers are"
        " distinct."
    )
    console.print_message(_shares("Fields", found.fields))
    console.print_message(_shares("Messages", found.messages))
    console.print_message(_shares("Languages", found.languages))
    console.print_message()
    console.heading("Lengths")
    shares = [SHARES.get(name, name) for name in next(iter(found.lengths.values()), {})]
    rows = [[what, *(f"{value:,}" for value in at.values())] for what, at in found.lengths.items()]
    if rows:
        console.table(["", *shares], rows, numeric=range(1, len(shares) + 1))
    console.print_message()
    console.heading("Near-duplicates")
    together = sum(map(len, found.clusters))
    console.print_message(
        f"{together:,} rows are in {len(found.clusters):,} clusters; --per-cluster of `filter` thins them."
    )
    for note in found.notes:
        console.note(note.code, note.text)
    for cluster in found.clusters[:CLUSTERS_SHOWN]:
        more = " …" if len(cluster) > ROWS_SHOWN else ""
        console.print_message(f"  {len(cluster):,} rows: {', '.join(map(str, cluster[:ROWS_SHOWN]))}{more}")


def _shares(what: str, counts: Mapping[Any, int]) -> str:
    return f"{what}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}."
