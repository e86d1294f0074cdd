"""What the stages ask of an objective: five records, each in a module of its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tutelage.config.recipe import Recipe
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.data.dataset.row_encoder import RowEncoder
    from tutelage.data.dataset.sample_prompt import SamplePrompt
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.evaluation.compare.scored_rows import ScoredRows
    from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs
    from tutelage.evaluation.next_steps import NextStep
    from tutelage.evaluation.work_ahead import EvaluationAhead
    from tutelage.export.record import Exported
    from tutelage.model.sources import ModelSource
    from tutelage.model.trained import TrainedModel
    from tutelage.objectives.results import Block
    from tutelage.report.objective import ObjectiveWords, Section
    from tutelage.run.artifacts import Preparation
    from tutelage.run.evaluation import Evaluation
    from tutelage.training.load import OpenedRun
    from tutelage.training.objective import Objective
    from tutelage.training.work import Work
    from tutelage.tree.examples import PreparedRow, Unit


class ReadReference(Protocol):
    """Returns an opened run whose units know what the model gave them before it was trained; `path` keeps that."""

    def __call__(
        self,
        path: Path,
        source: ModelSource,
        opened: OpenedRun,
        *,
        is_kept: bool = True,
        progress: Callable[[int], None] = ...,
    ) -> OpenedRun: ...


@dataclass(frozen=True)
class Reference:
    """What the model reads before the first step; `label` says so beside a bar over `examples_per_unit` of each unit.

    `is_needed` tells it of a recipe, and `find_damage` says where a file that keeps it is not as it was written.
    """

    label: str
    examples_per_unit: int
    is_needed: Callable[[Recipe], bool]
    read: ReadReference
    find_damage: Callable[[Path], str | None]


@dataclass(frozen=True)
class TrainingPart:
    """`objective` is the loss of a training on some units, and `units` are what it counts as one each.

    With `count_classes` the model gets a head for so many labels, found from the training rows and the sets of labels.
    """

    objective: Callable[[Recipe, Sequence[Unit]], Objective]
    units: Callable[[PreparedRows], Sequence[Unit]]
    count_classes: Callable[[PreparedRows, Sequence[Sequence[int]]], int] | None = None
    reference: Reference | None = None

    def reference_of(self, recipe: Recipe) -> Reference | None:
        """Return what is read before the first step of a recipe, None where nothing is."""
        return self.reference if self.reference is not None and self.reference.is_needed(recipe) else None


# Returns the lines of a file of the evaluation by its name.
ReadLines = Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class EvaluationPart:
    """How the trained model is evaluated, and how much work that is.

    `scored_rows` reads what an evaluation left of each test row, for comparisons with other runs.
    """

    evaluate: Callable[[EvaluationInputs], Evaluated]
    work: Callable[[EvaluationAhead], Work]
    scored_rows: Callable[[ReadLines, Recipe, Evaluation], ScoredRows]


class Export(Protocol):
    """Makes, verifies and publishes each format; `held_out` rows prove it, and its card tells of the `evaluation`."""

    def __call__(
        self,
        trained: TrainedModel,
        held_out: Iterable[PreparedRow],
        evaluation: Evaluation | None,
        folder: Path,
        targets: Sequence[str],
        *,
        quantization: str,
        waiting: Callable[[str], AbstractContextManager[None]],
    ) -> list[Exported]: ...


@dataclass(frozen=True)
class ExportPart:
    """What the model can be written as; `check` raises RunFolderError where it cannot be, before anything is loaded."""

    check: Callable[[TrainedModel, Sequence[str]], None]
    export: Export


# Says what stands out in the training rows of a recipe; the tokenizer is opened when it is asked for.
DescribeRows = Callable[["PreparedRows", "Recipe", Callable[[], Any]], Sequence["Block"]]


class Steps(Protocol):
    """Returns the commands that go on with a trained run, a path as a shell takes it, the most useful first."""

    def __call__(self, run: str, question: SamplePrompt | None, *, is_exported: bool) -> list[NextStep]: ...


@dataclass(frozen=True)
class ReportPart:
    """What is shown and said of the objective.

    `section` and `results` are its own part of an evaluation, for the page and for the terminal; a section whose lines
    are gone is None. `question` finds a prompt among the run's rows that a person could type, and `steps` are the
    commands that use it. `describe_validation` says what the figures of a validation come to, None where the loss says
    all; `describe_step` says it beside the loss, of a step too. `describe_rows` says what there is to see in training
    rows before the first step.
    """

    words: Callable[[Preparation, Recipe | None], ObjectiveWords]
    section: Callable[[Evaluation, ReadLines], Section | None]
    results: Callable[[Evaluation], list[Block]]
    question: Callable[[PreparedRows, Callable[[], PromptRenderer]], SamplePrompt | None]
    steps: Steps
    describe_validation: Callable[[Mapping[str, float]], str | None] = lambda figures: None
    describe_step: Callable[[Mapping[str, float]], str | None] = lambda figures: None
    describe_rows: DescribeRows = lambda rows, recipe, tokenizer: ()


class ObjectiveSpec:
    """An objective by the package that holds it."""

    def __init__(self, package: str) -> None:
        self._package = package

    @cached_property
    def rows(self) -> RowEncoder:
        """How conversations become rows."""
        return self._part("rows", "ROWS")

    @cached_property
    def training(self) -> TrainingPart:
        """What is trained on, and which loss is minimised."""
        return self._part("training", "TRAINING")

    @cached_property
    def evaluation(self) -> EvaluationPart:
        """What the test rows say of the trained model."""
        return self._part("evaluation", "EVALUATION")

    @cached_property
    def export(self) -> ExportPart:
        """How the trained model is written for other programs."""
        return self._part("export", "EXPORT")

    @cached_property
    def report(self) -> ReportPart:
        """What a person reads of a run."""
        return self._part("report", "REPORT")

    def _part(self, module: str, name: str) -> Any:
        return getattr(import_module(f"{self._package}.{module}"), name)
