"""What the model gives both answers of every pair before it is trained, from where preference tuning counts its gain.

It is read once, from the model that is about to be trained, and kept in the run folder: no second model is in memory,
no step runs twice, and every weight may be trained as well as an adapter.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tutelage.config.recipe import Recipe
from tutelage.errors import RunFolderError
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import CausalModel
from tutelage.model.sources import ModelSource
from tutelage.objectives.preference.pairs import Pairs
from tutelage.run.artifacts import Reference, ReferencePart, read_artifact, write_artifact
from tutelage.system.runtime import name_dtype
from tutelage.training.tuning import OpenedRun
from tutelage.tree.examples import examples_of

PAIRS_AT_ONCE = 4096  # so many are in memory; among more of them few more beginnings are shared


def needs_reference(recipe: Recipe) -> bool:
    """Tell whether the loss of a recipe asks what the model gave the answers before."""
    return recipe.preference.loss in ("sigmoid", "ipo")


def with_reference(
    path: Path,
    source: ModelSource,
    opened: OpenedRun,
    *,
    is_kept: bool = True,
    progress: Callable[[int], None] = lambda examples: None,
) -> OpenedRun:
    """Return an opened run, not yet trained or restored, with the reference of its pairs.

    It is taken from the file `path` where it belongs to the same rows and weights, else the model reads all pairs and,
    where it `is_kept`, the file has it then.
    """
    known = _read(path)
    found: dict[str, ReferencePart] = {}
    pairs: dict[str, Pairs] = {}
    for split, units in (("train", opened.training), ("validation", opened.validation)):
        assert isinstance(units, Pairs), "preference tuning is about pairs"
        identity = _identity(units, opened.model, source)
        part = known.get(split)
        if part is None or not _is_as_written(part) or part.identity != identity:
            part = _part(identity, _log_probs(opened.model, units, progress))
        found[split] = part
        reference = np.array(part.log_probs, dtype=np.float64).reshape(-1, 2)
        pairs[split] = replace(units, reference=reference)
    if is_kept and found != known:
        write_artifact(path, Reference(train=found["train"], validation=found["validation"]))
    return replace(opened, training=pairs["train"], validation=pairs["validation"])


def what_is_damaged_in_reference(path: Path) -> str | None:
    """Say where the kept reference is not what was written; None where it is whole."""
    known = _read(path)
    odd = [
        split for split in ("train", "validation") if split not in known or not _is_as_written(known[split])
    ]
    return f"the numbers of {' and '.join(odd)} are not those that were written" if odd else None


def _read(path: Path) -> dict[str, ReferencePart]:
    """Return what is kept by split; nothing where it cannot be read, for it can be made again."""
    try:
        known = read_artifact(Reference, path)
    except RunFolderError:
        return {}
    return {"train": known.train, "validation": known.validation}


def _identity(pairs: Pairs, model: CausalModel, source: ModelSource) -> str:
    """Return a hash of all that decides the numbers: rows, weights, and how these are run."""
    found = hashlib.sha256(
        f"{source.start_identity} {name_dtype(model.compute_dtype)} {model.is_padded} {len(pairs)}".encode()
    )
    for rows in (pairs.chosen, pairs.rejected):
        for array in (rows.ids, rows.begins, rows.tokens, rows.supervised):
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _log_probs(model: CausalModel, pairs: Pairs, progress: Callable[[int], None]) -> list[list[float]]:
    parts = [
        answer_log_probs(model, examples_of(pairs[begin : begin + PAIRS_AT_ONCE]), progress=progress)
        for begin in range(0, len(pairs), PAIRS_AT_ONCE)
    ]
    return np.concatenate([np.empty(0), *parts]).reshape(-1, 2).tolist()


def _part(identity: str, log_probs: list[list[float]]) -> ReferencePart:
    return ReferencePart(identity=identity, sha256=_hash(log_probs), log_probs=log_probs)


def _is_as_written(part: ReferencePart) -> bool:
    return part.sha256 == _hash(part.log_probs)


def _hash(log_probs: list[list[float]]) -> str:
    return hashlib.sha256(json.dumps(log_probs).encode()).hexdigest()
