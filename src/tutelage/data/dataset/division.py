"""Write the files of the splits, and move rows once their final split is known."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from tutelage.data.dataset.prepared_rows import RowsWriter, id_type, map_rows
from tutelage.run.folder import SPLITS, files_of_answers
from tutelage.system.storage import remove, storage_faults

UNDIVIDED = "undivided"  # file name for the rows of all splits until the last one is known
PROVISIONAL = "provisional-"  # prefix of a split's files while it still holds rows of other splits


@contextmanager
def split_writers(
    folder: Path, names: Sequence[str], vocabulary: int, *, answers: Sequence[str]
) -> Iterator[list[list[RowsWriter]]]:
    """Yield the writers of each split, one for each of the `answers` of a row."""
    writers = [
        [RowsWriter(files, id_type(vocabulary)) for files in files_of_answers(folder, name, answers)]
        for name in names
    ]
    yield writers
    for writer in chain.from_iterable(writers):
        writer.close()


def divide(folder: Path, sides: np.ndarray, vocabulary: int, *, answers: Sequence[str]) -> None:
    """Distribute the rows written as UNDIVIDED to the splits; `sides` is the split of each row: (rows,)."""
    _part(folder, [UNDIVIDED], np.zeros(len(sides), dtype=np.uint8), sides, vocabulary, answers=answers)


def divide_again(
    folder: Path, written: np.ndarray, sides: np.ndarray, vocabulary: int, *, answers: Sequence[str]
) -> None:
    """Move rows from the splits where they were `written` to their final `sides`: (rows,) each."""
    if (written == sides).all():
        return
    for name in SPLITS:
        before, after = (
            chain.from_iterable(map(astuple, files_of_answers(folder, one, answers)))
            for one in (name, PROVISIONAL + name)
        )
        for path, other in zip(before, after, strict=True):
            with storage_faults(path):
                path.replace(other)
    _part(folder, [PROVISIONAL + name for name in SPLITS], written, sides, vocabulary, answers=answers)


def _part(
    folder: Path,
    names: Sequence[str],
    written: np.ndarray,
    sides: np.ndarray,
    vocabulary: int,
    *,
    answers: Sequence[str],
) -> None:
    """Distribute rows to the splits in source order; `written` is the index in `names` where each row is now."""
    files = [files_of_answers(folder, name, answers) for name in names]
    opened = [list(map(map_rows, one)) for one in files]
    is_other = (np.diff(sides) != 0) | (np.diff(written) != 0)
    begins = [0, *(np.flatnonzero(is_other) + 1).tolist(), len(sides)]
    done = [0] * len(names)
    with split_writers(folder, SPLITS, vocabulary, answers=answers) as writers:
        for begin, end in pairwise(begins):
            name = written[begin]
            first = done[name]
            done[name] = first + end - begin
            for writer, rows in zip(writers[sides[begin]], opened[name], strict=True):
                writer.copy(rows[first : done[name]])
    for path in chain.from_iterable(map(astuple, chain.from_iterable(files))):
        remove(path)
