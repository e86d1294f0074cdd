"""Run stage 1: read, check, render and write rows one by one into a run's data folder."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tutelage.codes import Message
from tutelage.config.objectives import DEFAULT, ObjectiveInfo
from tutelage.config.recipe import DataSettings, ModelSettings
from tutelage.data.dataset.division import UNDIVIDED, divide, divide_again, split_writers
from tutelage.data.dataset.empty_splits import empty_splits
from tutelage.data.dataset.fingerprints import fingerprints_of
from tutelage.data.dataset.ledger import Ledger
from tutelage.data.dataset.prepared_rows import PreparedRows, map_split
from tutelage.data.dataset.row_encoder import ANSWERS, EncodedRows, Labels, RowEncoder
from tutelage.data.dataset.splits import SplitAssigner
from tutelage.data.dataset.token_figures import count_tokens
from tutelage.data.formats.formats import ConversationReader
from tutelage.data.prompts.encoding import naming_row_of_surrogate, vocabulary_of
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.quality.checks import check_each, fingerprint, prompt_of
from tutelage.data.quality.first_rows import FINGERPRINT_BYTES
from tutelage.data.quality.label_names import SeenLabels
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import Record, Source, SourceReader
from tutelage.errors import DataError
from tutelage.run.artifacts import Note, Preparation, RowCounts, TaskChoice, TokenCounts, write_artifact
from tutelage.run.folder import LEDGER, PREPARATION, SPLITS
from tutelage.system.storage import storage_faults

ROWS_NAMED = 8
ROWS_TOLD = 1_000  # number of rows between two progress reports
ALONE = "text alone"  # prompt style of rows without a prompt


@dataclass(frozen=True)
class PreparedData:
    """The result of stage 1; the rows of each split are memory-mapped."""

    splits: dict[str, PreparedRows]
    preparation: Preparation


def prepare(
    source: SourceReader,
    settings: DataSettings,
    renderer: PromptRenderer,
    *,
    folder: Path,
    context_length: int,
    model: ModelSettings,
    weights: str,
    model_files: Mapping[str, str] = MappingProxyType({}),
    is_checked: bool = True,
    adapter: str | None = None,
    objective: ObjectiveInfo = DEFAULT,
    encoder: RowEncoder = ANSWERS,
    choose_task: Callable[[PreparedRows], TaskChoice] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> PreparedData:
    """Prepare a source in a data folder; raise DataError if rows cannot be used.

    Only a few rows are in memory at a time, and only hashes of earlier ones. `weights` is the SHA-256 of the
    base model, and `model_files` those of its files, so that later stages can detect changes; it is empty for a
    converted model, which has a manifest. `adapter` is the SHA-256 of an adapter to start from. `choose_task`
    sees only the training rows. `progress` is called with the number of newly rendered rows.
    """
    ledger = Ledger()
    reader = ConversationReader(source.name, settings, needs_labels=encoder.needs_labels, objective=objective)
    sides = SplitAssigner(rule=settings.split, train_size=settings.train_size, test_size=settings.test_size)
    limit = min(settings.max_length or context_length, context_length)
    questions = bytearray()  # prompt fingerprint of each row
    overlong: list[tuple[int, int]] = []
    labels, seen_labels = Labels(), SeenLabels(settings.label_separator)
    vocabulary = vocabulary_of(renderer.tokenizer)
    trains_all = encoder.trains_earlier_answers(settings)
    names = SPLITS if settings.split == "group" else (UNDIVIDED,)
    with split_writers(folder, names, vocabulary, answers=encoder.answers) as writers:
        kept = seen_labels.noted(_kept(source, settings, reader, ledger, format=objective.row_format))
        encoded = encoder.encode(renderer, kept, settings, labels)
        rendered = _naming_rows(encoded, lambda row: ledger.file_of(row) or source.name)
        for count, (conversation, rows) in enumerate(rendered, start=1):
            tokens = max(row.example.tokens for row in rows)
            if tokens > limit:
                overlong.append((conversation.row, tokens))
                told = f"{tokens:,} tokens, more than {limit:,}"
                ledger.drop(conversation.row, Message("data.too_long", told))
            else:
                side = sides.add_row(conversation, trains_all=trains_all)
                for writer, row in zip(writers[side or 0], rows, strict=True):
                    writer.add(row)
                questions += fingerprint(prompt_of(conversation))
            if count % ROWS_TOLD == 0:
                progress(ROWS_TOLD)
    if overlong and settings.overlong == "error":
        _check_lengths(overlong, limit, settings)
    if not len(sides.rows):
        read = ledger.counts()["read"]
        told = f"{source.name}: none of the {read:,} rows is usable: {'; '.join(ledger.reasons())}."
        raise DataError("data.no_usable_rows", told)
    stands = _divided(folder, sides, settings, source.name, vocabulary, answers=encoder.answers)
    counts = {name: int((stands == side).sum()) for side, name in enumerate(SPLITS)}
    splits = {name: map_split(folder, name, encoder.answers) for name in SPLITS}
    encoder.check_splits(splits, labels, source.name)
    _write_lines(LEDGER, folder, ledger.lines(sides.rows, stands))
    preparation = Preparation(
        format=3,
        source=source.name,
        sha256=source.sha256,
        kind=source.kind,
        formats=reader.formats(),
        model=model.name_or_path,
        model_sha256=weights,
        model_files=dict(model_files),
        checksums="verified" if is_checked else "skipped",
        fingerprints=fingerprints_of(
            source.sha256,
            settings,
            renderer,
            context_length=context_length,
            weights=weights,
            adapter=adapter,
            objective=objective,
        ),
        settings={
            "data": settings.model_dump(),
            "model": model.model_dump(),
            "training": {"objective": objective.name},  # some recipes are only valid with their objective
        },
        objective=objective.name,
        classes=labels.classes,
        label_sets=[list(one) for one in labels.sets],
        prompt_template=settings.prompt_template if objective.has_effect("data.prompt_template") else ALONE,
        split=settings.split,
        end_of_turn=renderer.tokenizer.convert_ids_to_tokens(renderer.end_of_turn),
        end_of_turn_id=renderer.end_of_turn,
        rows=RowCounts(**ledger.counts(), **counts),
        tokens=TokenCounts(**count_tokens(splits)),
        repeated_prompts=_count_repeated(questions),
        leaks=sides.leaks(),
        notes=[
            Note(code=note.code, message=note.text)
            for note in (*source.notes, *reader.notes(), *seen_labels.messages())
        ],
        **({"task": choose_task(splits["train"])} if choose_task else {}),
    )
    write_artifact(folder / PREPARATION, preparation)
    return PreparedData(splits, preparation)


def _naming_rows(rendered: Iterable[EncodedRows], file_of: Callable[[int], str]) -> Iterator[EncodedRows]:
    with naming_row_of_surrogate(file_of):
        yield from rendered


def _divided(
    folder: Path,
    sides: SplitAssigner,
    settings: DataSettings,
    source: str,
    vocabulary: int,
    *,
    answers: Sequence[str],
) -> np.ndarray:
    """Move the written rows to their final splits, and return the split of each row: (rows,)."""
    for empty in empty_splits(sides, settings):
        raise DataError(empty.code, f"{source}: {empty.what}. {empty.remedy}")
    stands = sides.splits()
    if settings.split == "group":
        divide_again(folder, sides.first_splits(), stands, vocabulary, answers=answers)
    else:
        divide(folder, stands, vocabulary, answers=answers)
    return stands


def _kept(
    source: SourceReader,
    settings: DataSettings,
    reader: ConversationReader,
    ledger: Ledger,
    *,
    format: str | None,
) -> Iterator[Conversation]:
    """Yield the rows that are not dropped, and record the outcome of every row in the ledger.

    If `format` is given, stop yielding at the first row of another format.
    """
    oversized: dict[int, int] = {}

    def records() -> Iterator[Record]:
        for record in source.records():
            ledger.note_file(record)
            if record.size is not None and record.size > settings.max_row_bytes:
                oversized[record.row] = record.size
            yield record

    each = check_each(reader.read(records()), settings, oversized, row_format=format)
    for checked in each:
        ledger.note(checked)
        if checked.outcome != "dropped":
            if format not in (None, checked.row.format):
                deque(each, maxlen=0)  # read on, so that errors of the reader, as for KTO rows, come first
            yield checked.row


def _write_lines(name: str, folder: Path, lines: Iterator[str]) -> None:
    """Write lines to a file; the caller moves the whole folder into place later."""
    path = folder / name
    with storage_faults(path), path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def _count_repeated(questions: bytearray) -> int:
    each = np.frombuffer(questions, dtype=f"V{FINGERPRINT_BYTES}")
    return len(each) - len(np.unique(each))


def sizes_of(source: Source) -> dict[int, int]:
    """Return the size of each row in bytes, if the file type provides it."""
    return {record.row: record.size for record in source.records if record.size is not None}


def check_token_ids(
    rows: PreparedRows, *, vocabulary: int, text_of: Callable[[int], str] | None = None
) -> None:
    """Raise DataError if a split contains a token id that the model has no weights for."""
    for place in filter(None, (one.place_of_unknown(vocabulary) for one in rows.answers.values())):
        row, token = place
        text = f" ({text_of(token)!r})" if text_of else ""
        raise DataError(
            "data.unknown_token_id",
            f"Row {row} holds the token id {token}{text}, but the model's ids end at {vocabulary - 1}. If"
            " the prepared rows were edited, prepare again with --overwrite; if not, tokenizer.json belongs"
            " to a different model.",
        )


def _check_lengths(overlong: Sequence[tuple[int, int]], limit: int, settings: DataSettings) -> None:
    named = ", ".join(f"{row} ({tokens:,} tokens)" for row, tokens in overlong[:ROWS_NAMED])
    more = f" and {len(overlong) - ROWS_NAMED:,} more" if len(overlong) > ROWS_NAMED else ""
    owner = "data.max_length" if limit == settings.max_length else "the model's context"
    raise DataError(
        "data.too_long",
        f"{'Row' if len(overlong) == 1 else 'Rows'} {named}{more}: longer than {owner} of {limit:,} tokens."
        " Shorten them, or drop them with --set data.overlong=drop; the ledger lists them.",
        row=overlong[0][0],
    )
