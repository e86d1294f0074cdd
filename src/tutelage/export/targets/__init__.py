"""What a model that writes answers can be exported as, a module for each with its one record, `TARGET`.

To add one, write its module and name it in `config/extensions.py`.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tutelage.config.extensions import EXPORT_TARGETS
from tutelage.export.record import Exported
from tutelage.export.style import Style
from tutelage.export.verification import ExportComparison, Reference
from tutelage.model.sources import ModelSource
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import AnswerEvaluation

# What an export was verified with.
TRANSFORMERS = "transformers' generate()"


@dataclass(frozen=True)
class ExportWork:
    """What all formats of one export share."""

    trained: TrainedModel
    evaluation: AnswerEvaluation | None
    style: Style
    ends: frozenset[int]
    reference: Reference
    merged: Any  # None where only the adapter is wanted
    quantization: str

    @property
    def source(self) -> ModelSource:
        return self.trained.source


@dataclass(frozen=True)
class ExportTarget:
    """How one format is made in a folder, and how what stands there is held against the run's model.

    `verify` is given what was exported before, and returns the comparison and what read the export. `loading` is the
    text of the card on how to load it, with the fields `gguf`, `rank`, `template`, `base`, `vllm_base` and `where`.
    `check` stops before anything is loaded where a model cannot be exported so, and `check_style` where its prompts and
    the ends of its answers cannot be written.
    """

    make: Callable[[ExportWork, Path], None]
    verify: Callable[[ExportWork, Path, Sequence[Exported]], tuple[ExportComparison, str]]
    loading: str
    library: str = "transformers"  # of model hubs
    needs_merged: bool = True
    check: Callable[[TrainedModel], None] | None = None
    check_style: Callable[[ModelSource, Style], None] | None = None


@cache
def load_target(name: str) -> ExportTarget:
    """Return a target by its name in --to."""
    return import_module(EXPORT_TARGETS[name].module).TARGET


@contextmanager
def passing_folder(folder: Path) -> Iterator[Path]:
    """Make a folder inside of an export, which is not to be there when it is published."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
