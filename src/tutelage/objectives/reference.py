"""What the model gives two answers of every row before it is trained, from where the gain of an answer is counted.

It is read once, from the model that is about to be trained, and kept in the run folder: no second model is in memory,
no step runs twice, and every weight may be trained as well as an adapter.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from tutelage.errors import RunFolderError
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import CausalModel
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Reference, ReferencePart, read_artifact, write_artifact
from tutelage.system.runtime import name_dtype
from tutelage.training.load import OpenedRun
from tutelage.tree.examples import Example, Unit

UNITS_AT_ONCE = 4096  # so many are in memory; among more of them few more beginnings are shared


@runtime_checkable
class WithTwoAnswers(Protocol):
    """Units that have two answers each; `arrays` decide all of them."""

    def __len__(self) -> int: ...

    def arrays(self) -> Iterable[np.ndarray]: ...

    def answers(self, begin: int, end: int) -> list[Example]:
        """Return the two answers of each of some units, side by side."""
        ...

    def with_reference(self, reference: np.ndarray) -> Sequence[Unit]:
        """Return the same units with what a model gave their two answers: (units, 2)."""
        ...


def with_reference(
    path: Path,
    source: ModelSource,
    opened: OpenedRun,
    *,
    is_kept: bool = True,
    progress: Callable[[int], None] = lambda examples: None,
) -> OpenedRun:
    """Return an opened run, not yet trained or restored, with the reference of its units.

    It is taken from the file `path` where it belongs to the same rows and weights, else the model reads all answers
    and, where it `is_kept`, the file has it then.
    """
    known = _read(path)
    found: dict[str, ReferencePart] = {}
    referenced: dict[str, Sequence[Unit]] = {}
    for split, units in (("train", opened.training), ("validation", opened.validation)):
        assert isinstance(units, WithTwoAnswers), "a reference is that of two answers"
        fingerprint = _fingerprint(units, opened.model, source)
        part = known.get(split)
        if part is None or not _is_as_written(part) or part.fingerprint != fingerprint:
            part = _part(fingerprint, _log_probs(opened.model, units, progress))
        found[split] = part
        reference = np.array(part.log_probs, dtype=np.float64).reshape(-1, 2)
        referenced[split] = units.with_reference(reference)
    if is_kept and found != known:
        write_artifact(path, Reference(train=found["train"], validation=found["validation"]))
    return replace(opened, training=referenced["train"], validation=referenced["validation"])


def reference_damage(path: Path) -> str | None:
    """Say where the kept reference is not what was written; None where it is whole."""
    known = _read(path)
    odd = [
        split for split in ("train", "validation") if split not in known or not _is_as_written(known[split])
    ]
    return f"the numbers of {' and '.join(odd)} do not match their checksum" if odd else None


def _read(path: Path) -> dict[str, ReferencePart]:
    """Return what is kept by split; nothing where it cannot be read, for it can be made again."""
    try:
        known = read_artifact(Reference, path)
    except RunFolderError:
        return {}
    return {"train": known.train, "validation": known.validation}


def _fingerprint(units: WithTwoAnswers, model: CausalModel, source: ModelSource) -> str:
    """Return a hash of all that decides the numbers: rows, weights, and how these are run."""
    found = hashlib.sha256(
        f"{source.start_fingerprint} {name_dtype(model.compute_dtype)} {model.is_padded} {len(units)}".encode()
    )
    for array in units.arrays():
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _log_probs(
    model: CausalModel, units: WithTwoAnswers, progress: Callable[[int], None]
) -> list[list[float]]:
    parts = [
        answer_log_probs(model, units.answers(begin, begin + UNITS_AT_ONCE), progress=progress)
        for begin in range(0, len(units), UNITS_AT_ONCE)
    ]
    return np.concatenate([np.empty(0), *parts]).reshape(-1, 2).tolist()


def _part(fingerprint: str, log_probs: list[list[float]]) -> ReferencePart:
    return ReferencePart(fingerprint=fingerprint, sha256=_hash(log_probs), log_probs=log_probs)


def _is_as_written(part: ReferencePart) -> bool:
    return part.sha256 == _hash(part.log_probs)


def _hash(log_probs: list[list[float]]) -> str:
    return hashlib.sha256(json.dumps(log_probs).encode()).hexdigest()
