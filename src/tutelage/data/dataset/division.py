"""The files of the splits while they are written, and rows that are parted once it is known where each stands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from tutelage.data.dataset.prepared_rows import RowsWriter, id_type, open_rows
from tutelage.run.folder import REJECTED, SPLITS, split_files
from tutelage.system.storage import remove, storage_faults

UNDIVIDED = "undivided"  # what the rows of all splits are called until the last of them is known
PROVISIONAL = "provisional-"  # before the name of a split that holds rows of others


@contextmanager
def split_writers(
    folder: Path, names: Sequence[str], vocabulary: int, *, pairs: bool
) -> Iterator[list[list[RowsWriter]]]:
    """Give the writers of each split: one, or of pairs one for each answer."""
    writers = [
        [RowsWriter(split_files(folder, name, side), id_type(vocabulary)) for side in _sides(pairs)]
        for name in names
    ]
    yield writers
    for writer in chain.from_iterable(writers):
        writer.close()


def divide(folder: Path, sides: np.ndarray, vocabulary: int, *, pairs: bool) -> None:
    """Part the rows that were written as UNDIVIDED into the splits, now that the side of each is known: (rows,)."""
    _part(folder, [UNDIVIDED], np.zeros(len(sides), dtype=np.uint8), sides, vocabulary, pairs=pairs)


def divide_again(
    folder: Path, written: np.ndarray, sides: np.ndarray, vocabulary: int, *, pairs: bool
) -> None:
    """Move the rows of the splits where they were `written` to the `sides` where they belong: (rows,) each."""
    if (written == sides).all():
        return
    for name in SPLITS:
        for side in _sides(pairs):
            files = zip(
                astuple(split_files(folder, name, side)),
                astuple(split_files(folder, PROVISIONAL + name, side)),
                strict=True,
            )
            for path, other in files:
                with storage_faults(path):
                    path.replace(other)
    _part(folder, [PROVISIONAL + name for name in SPLITS], written, sides, vocabulary, pairs=pairs)


def _part(
    folder: Path,
    names: Sequence[str],
    written: np.ndarray,
    sides: np.ndarray,
    vocabulary: int,
    *,
    pairs: bool,
) -> None:
    """Part rows into the splits in the order of the source; each was `written` under one of the names, by number."""
    files = [[split_files(folder, name, side) for side in _sides(pairs)] for name in names]
    answers = [list(map(open_rows, one)) for one in files]
    is_other = (np.diff(sides) != 0) | (np.diff(written) != 0)
    begins = [0, *(np.flatnonzero(is_other) + 1).tolist(), len(sides)]
    done = [0] * len(names)
    with split_writers(folder, SPLITS, vocabulary, pairs=pairs) as writers:
        for begin, end in pairwise(begins):
            name = written[begin]
            first = done[name]
            done[name] = first + end - begin
            for writer, rows in zip(writers[sides[begin]], answers[name], strict=True):
                writer.copy(rows[first : done[name]])
    for path in chain.from_iterable(map(astuple, chain.from_iterable(files))):
        remove(path)


def _sides(pairs: bool) -> tuple[str, ...]:
    return ("", REJECTED) if pairs else ("",)
