"""New rows that a language model makes after some of those that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.config.recipe import DataSettings
from tutelage.errors import DataError
from tutelage.run.events import Waited
from tutelage.stages.data.rows import SourceRows
from tutelage.stages.reporter import Reporter
from tutelage.stages.settings import require_positive

if TYPE_CHECKING:
    from tutelage.data.rows.conversations import Conversation
    from tutelage.data.synthetic.cached_model import RememberingModel
    from tutelage.data.synthetic.self_instruct import GeneratedRow

QUESTIONS_PER_NEED = 3  # so many times the fewest that could do


@dataclass(frozen=True)
class Generated:
    """New rows as they are written, the settings to read them with, and how often others were not taken, and why."""

    values: Sequence[dict[str, Any]]
    settings: DataSettings
    refused: Mapping[str, int]


def find_seeds(rows: SourceRows) -> "list[Conversation]":
    """Return the rows that a model can be shown: one question and its answer each, and nothing that a check drops."""
    from tutelage.data.quality.checks import check_rows

    kept = [one.row for one in check_rows(rows.conversations.rows, rows.settings) if one.outcome != "dropped"]
    seeds = [row for row in kept if [turn.role for turn in row.messages] == ["user", "assistant"]]
    if not seeds:
        raise DataError(
            "synthetic.no_seed_examples",
            f"{rows.source.name} has no row with one question and its answer, and only such rows can serve"
            " as examples.",
        )
    return seeds


def default_requests(count: int, rows_per_request: int) -> int:
    """Return how many questions are put at most for so many rows, unless another number is given."""
    return QUESTIONS_PER_NEED * -(-count // rows_per_request)


def generate(
    rows: SourceRows,
    seeds: "Sequence[Conversation]",
    model: "RememberingModel",
    reporter: Reporter,
    *,
    count: int,
    rows_per_request: int = 4,
    max_requests: int | None = None,
    seed: int = 123,
) -> Generated:
    """Ask a model for new rows like some seeds; what only repeats a row that is there is not taken.

    Fewer than `count` come back where the questions do not suffice, and none where no reply could be used.
    """
    from tutelage.data.synthetic.self_instruct import self_instruct_rows

    require_positive(rows=count, rows_per_request=rows_per_request, max_requests=max_requests)
    made = self_instruct_rows(
        seeds,
        model,
        rows=count,
        rows_per_request=rows_per_request,
        max_requests=max_requests or default_requests(count, rows_per_request),
        seed=seed,
        progress=reporter.progress("Rows taken", count),
    )
    reporter.emit(Waited())
    settings = rows.settings.model_copy(update={"column_map": {}, "format": None})
    return Generated(_values(made.rows, rows, model.name), settings, made.refused)


def require_rows(made: Generated, model: "RememberingModel") -> None:
    """Stop where no reply of a model held a row that can be taken."""
    if not made.values:
        raise DataError(
            "synthetic.no_rows_accepted",
            f"No response of {model.name} held a usable row; the reasons are above. Try a larger model, or a"
            " larger --max-tokens.",
        )


def _values(made: "Sequence[GeneratedRow]", rows: SourceRows, name: str) -> list[dict[str, Any]]:
    from tutelage.data.rows.records import MADE_BY, MADE_FROM
    from tutelage.data.sources.convert_rows import to_format
    from tutelage.data.sources.writing import source_row

    if not made:
        return []
    numbers = {record.row: source_row(record) for record in rows.source.records}
    return [
        {**to_format(one.row, "alpaca"), MADE_FROM: [numbers[row] for row in one.made_from], MADE_BY: name}
        for one in made
    ]
