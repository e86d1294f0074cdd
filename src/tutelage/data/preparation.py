"""Stage 1 as a whole: read, check, split, render, and write the data folder of a run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.data.checks import CheckedRow, check_rows, count_repeated_prompts
from tutelage.data.conversations import Conversation
from tutelage.data.examples import Example, PreparedRow
from tutelage.data.formats import Conversations, read_conversations
from tutelage.data.prefix_tree import count_distinct
from tutelage.data.prompts import PromptRenderer
from tutelage.data.records import Source
from tutelage.data.splits import find_leaks, split_rows
from tutelage.errors import DataError, RunFolderError
from tutelage.recipe import DataSettings, ModelSettings, Recipe
from tutelage.recipe_file import changed_settings, check
from tutelage.run_folder import (
    SPLITS,
    RunFolder,
    read_json,
    read_json_lines,
    reading_faults,
    write_json,
    write_json_lines,
)
from tutelage.storage import remove, staged_folder

ROWS_NAMED = 8


@dataclass(frozen=True)
class Preparation:
    """Everything that stage 1 found and made, before any of it is written."""

    source: Source
    ledger: list[dict[str, Any]]
    splits: dict[str, list[PreparedRow]]
    summary: dict[str, Any]


def prepare(
    source: Source,
    settings: DataSettings,
    renderer: PromptRenderer,
    *,
    context_length: int,
    model: ModelSettings,
    weights: str,
    progress: Callable[[int], None] = lambda rows: None,
) -> Preparation:
    """Turn a source into prepared rows, or stop with the rows that are at fault; nothing is written.

    `weights` is the SHA-256 of the base model, by which later stages know that it is still the same.
    """
    read = read_conversations(source.records, source=source.name, settings=settings)
    checked = check_rows(read.rows, settings, sizes_of(source))
    examples = render_rows(checked, renderer, settings, progress=progress)
    checked = _drop_overlong(checked, examples, settings, context_length)
    kept = [row.row for row in checked if row.outcome != "dropped"]
    if not kept:
        reasons = sorted({reason for row in checked for reason in row.reasons})
        raise DataError(
            f"{source.name}: none of the {len(read.rows):,} rows can be used: {'; '.join(reasons)}."
        )
    split = split_rows(
        kept, rule=settings.split, train_share=settings.train_share, test_share=settings.test_share
    )
    _refuse_empty_splits(split, settings, source.name)
    splits = {
        name: [PreparedRow(renderer.prompt_text(row), row.response, examples[row.row]) for row in split[name]]
        for name in SPLITS
    }
    return Preparation(
        source,
        _ledger(checked, split, source),
        splits,
        _summary(
            source=source,
            read=read,
            settings=settings,
            renderer=renderer,
            checked=checked,
            split=split,
            splits=splits,
            model=model,
            weights=weights,
        ),
    )


def sizes_of(source: Source) -> dict[int, int]:
    """Return the bytes of each row, as far as the kind of file tells them."""
    return {record.row: record.size for record in source.records if record.size is not None}


def render_rows(
    checked: Sequence[CheckedRow],
    renderer: PromptRenderer,
    settings: DataSettings,
    *,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[int, Example]:
    """Return the example of every row that is not dropped, by its row."""
    kept = [row.row for row in checked if row.outcome != "dropped"]
    made = renderer.examples(kept, loss_on=settings.loss_on, progress=progress)
    return {example.row: example for example in made}


def refuse_other_weights(run: RunFolder, weights: str) -> None:
    """Stop when the base model is no longer the one that the run began with."""
    began_with = read_json(run.require(run.preparation, stage="prepare"))["model_sha256"]
    if weights != began_with:
        raise RunFolderError(
            f"The base model is not the one that {run.root} began with (SHA-256 {weights[:12]}…, was"
            f" {began_with[:12]}…). Put the old weights back, or begin another run."
        )


def refuse_other_settings(run: RunFolder, recipe: Recipe) -> None:
    """Stop when the data folder was prepared under other settings of the data or the model."""
    prepared = read_json(run.require(run.preparation, stage="prepare"))["settings"]
    with reading_faults(run.preparation):
        before = check(prepared, {})
    changed = changed_settings(before, recipe, sections=("data", "model"))
    if changed:
        raise RunFolderError(
            f"{run.data} was prepared with other settings: {', '.join(changed)}."
            f" Run `tutelage prepare {run.root} --overwrite` with the new ones first."
        )


def write_preparation(run: RunFolder, preparation: Preparation, *, keeps_results: bool = False) -> None:
    """Write the data folder of a run in one go: either all of it is there, or none.

    What later stages made of earlier data is removed when the new data is whole on the disk, and not before; it stays
    where a training is to go on with changed data.
    """
    with staged_folder(run.data) as staged:
        for name, rows in preparation.splits.items():
            write_json_lines(staged / run.split(name).name, (row.to_record() for row in rows))
        write_json_lines(staged / run.ledger.name, preparation.ledger)
        write_json(staged / run.preparation.name, preparation.summary)
        for path in () if keeps_results else run.results_of_other_data():
            remove(path)


def read_prepared(run: RunFolder, split: str) -> list[PreparedRow]:
    """Read the rows of one split; only the test and the validation rows may be none."""
    path = run.require(run.split(split), stage="prepare")
    records = read_json_lines(path)
    with reading_faults(path):
        if split == "train" and not records:
            raise ValueError("it holds no rows, and without rows nothing can be trained")
        return [PreparedRow.from_record(record) for record in records]


def refuse_unknown_ids(rows: Iterable[PreparedRow], *, vocabulary: int) -> None:
    """Stop where a row holds a token id that the model has no weights for."""
    for row in rows:
        unknown = [token for token in row.example.ids if not 0 <= token < vocabulary]
        if unknown:
            raise DataError(
                f"Row {row.example.row} holds the token id {unknown[0]}, and the model knows those from 0 to"
                f" {vocabulary - 1}. If the prepared rows were edited, prepare again with --overwrite; if not,"
                " the model's tokenizer.json is that of another model."
            )


def _drop_overlong(
    checked: Sequence[CheckedRow],
    examples: Mapping[int, Example],
    settings: DataSettings,
    context_length: int,
) -> list[CheckedRow]:
    limit = min(settings.max_length or context_length, context_length)
    overlong = {row: len(example.ids) for row, example in examples.items() if len(example.ids) > limit}
    if overlong and settings.overlong == "stop":
        named = ", ".join(f"{row} ({tokens:,} tokens)" for row, tokens in list(overlong.items())[:ROWS_NAMED])
        more = f" and {len(overlong) - ROWS_NAMED:,} more" if len(overlong) > ROWS_NAMED else ""
        owner = "data.max_length" if limit == settings.max_length else "the model's context"
        raise DataError(
            f"{'Row' if len(overlong) == 1 else 'Rows'} {named}{more}: longer than {owner} of {limit:,} tokens."
            " Shorten them, or drop and list them with --set data.overlong=drop.",
            rule=15,
            row=next(iter(overlong)),
        )
    return [
        CheckedRow(row.row, "dropped", (f"{overlong[row.row.row]:,} tokens, more than {limit:,}",))
        if row.row.row in overlong
        else row
        for row in checked
    ]


def _refuse_empty_splits(
    split: Mapping[str, Sequence[Conversation]], settings: DataSettings, source: str
) -> None:
    shares = {"train": 1.0, "test": settings.test_share}  # a run needs training rows whatever the share says
    rows = sum(len(part) for part in split.values())
    for name, share in shares.items():
        if not split[name] and share > 0:
            remedy = (
                "Add rows, or raise data.test_share"
                if name == "test"
                else "Add rows, or raise data.train_share"
            )
            other = "" if settings.split == "position" else ", or try --split position"
            alone = "; data.test_share=0 trains without an evaluation" if name == "test" else ""
            counted = f"{rows:,} usable row{'' if rows == 1 else 's'}"
            raise DataError(
                f"{source}: with {counted} the {name} split would be empty. {remedy}{other}{alone}.", rule=25
            )


def _ledger(
    checked: Sequence[CheckedRow], split: Mapping[str, Sequence[Conversation]], source: Source
) -> list[dict[str, Any]]:
    files = {record.row: {"file": record.file} for record in source.records if record.file is not None}
    split_of = {row.row: name for name, rows in split.items() for row in rows}
    return [
        {
            "row": row.row.row,
            "outcome": row.outcome,
            "split": split_of.get(row.row.row),
            "reasons": list(row.reasons),
            **files.get(row.row.row, {}),
        }
        for row in checked
    ]


def _summary(
    *,
    source: Source,
    read: Conversations,
    settings: DataSettings,
    renderer: PromptRenderer,
    checked: Sequence[CheckedRow],
    split: dict[str, list[Conversation]],
    splits: Mapping[str, Sequence[PreparedRow]],
    model: ModelSettings,
    weights: str,
) -> dict[str, Any]:
    outcomes = [row.outcome for row in checked]
    training = [row.example for row in splits["train"]]
    return {
        "source": source.name,
        "sha256": source.sha256,
        "kind": source.kind,
        "formats": read.formats,
        "model": model.name_or_path,
        "model_sha256": weights,
        "settings": {"data": settings.model_dump(), "model": model.model_dump()},
        "prompt": settings.prompt,
        "split": settings.split,
        "end_of_turn": renderer.tokenizer.convert_ids_to_tokens(renderer.end_of_turn),
        "end_of_turn_id": renderer.end_of_turn,
        "rows": {
            "read": len(checked),
            "kept": outcomes.count("kept"),
            "repaired": outcomes.count("repaired"),
            "dropped": outcomes.count("dropped"),
            **{name: len(rows) for name, rows in splits.items()},
        },
        "tokens": {
            "train": sum(len(example.ids) for example in training),
            "supervised": sum(example.supervised for example in training),
            "distinct": count_distinct(training),
            "longest": max(len(row.example.ids) for rows in splits.values() for row in rows),
        },
        "repeated_prompts": count_repeated_prompts([row.row for row in checked if row.outcome != "dropped"]),
        "leaks": find_leaks(split),
        "notes": source.notes + read.notes,
    }
