"""What a program needs: fine-tune a model on rows, read what came of it, ask the model, export it, compare runs.

Everything is done by `tutelage.stages`; errors are those of `tutelage.errors`, each with a stable `code`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config.recipe import Recipe
from tutelage.config.recipes import shipped_path
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run import events
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.evaluation import Evaluation, MetricFigures, read_evaluation
from tutelage.run.events import Listener, ignore
from tutelage.run.figures import Proportion
from tutelage.run.folder import VARIANTS, RunFolder
from tutelage.stages.export import Quantization
from tutelage.stages.functions import FormatFunction, MetricFunction, given_functions
from tutelage.stages.python_settings import overrides_of
from tutelage.stages.python_words import python_words
from tutelage.stages.reporter import without_raising
from tutelage.stages.rows import kept_rows
from tutelage.stages.run_folders import earlier_run, new_run
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.evaluation.compare.runs import RunsCompared
    from tutelage.export.record import Exported
    from tutelage.stages.answer import AnsweringModel

__all__ = ["Run", "compare", "events", "finetune"]


def finetune(
    data: str | Path | Iterable[Mapping[str, Any]],
    *,
    output: str | Path | None = None,
    recipe: str | Path | None = None,
    format: str | FormatFunction | None = None,
    metrics: Sequence[MetricFunction] | None = None,
    listener: Listener = ignore,
    overwrite: bool = False,
    allow_changes: bool = False,
    **settings: Any,
) -> "Run":
    """Fine-tune a model, evaluate it against its base and report; an unfinished run in `output` goes on.

    `data` is a path or name as for `--data`, or rows as dicts (a list, a `datasets.Dataset`, a pandas `DataFrame`).
    `recipe` is a file or the name of one that ships; `settings` are settings of it by their last name, such as
    `learning_rate`. A function as `format` makes one of our rows of each, or None to leave it out; a text is the
    setting. Each of `metrics` takes an answer and its reference, and returns a number, higher for a better answer.
    Writes the files of `tutelage run`.

    Raises RecipeError for settings, DataError for rows and what a function makes of them, ModelError for the base
    model, FetchError if a file cannot be fetched, LanguageModelError for a judge, RunFolderError if `output` holds a
    finished run, or an unfinished one whose data or settings changed and `allow_changes` is not set, NonFiniteError and
    StorageError.
    """
    from tutelage.stages.run import run_all
    from tutelage.system.runtime import caller_state_kept

    if not callable(listener):
        raise TypeError(f"listener is {listener!r}, which cannot be called")
    with python_words(output), ExitStack() as kept:
        if isinstance(format, str):
            settings, format = {**settings, "format": format}, None
        functions = given_functions(metrics, format)
        if "source" in settings:
            raise RecipeError(
                "cli.option_not_supported", "The rows are the first argument. Leave source= out."
            )
        given = overrides_of(settings)
        path = None if recipe is None else shipped_path(str(recipe)) or Path(recipe).expanduser()
        root = None if output is None else Path(output).expanduser()
        if not isinstance(data, str | Path):
            if root is None:
                raise RunFolderError(
                    "run.not_named", "Rows have no name that a run could have. Give its folder: output=..."
                )
            data = kept.enter_context(kept_rows(data, RunFolder(root)))
        overrides = {"--data data.source": str(data), **given}
        folder, loaded = new_run(path, overrides, root=root, goes_on=not overwrite)
        session = Session(folder, loaded, listener=without_raising(listener), functions=functions)
        with caller_state_kept():
            run_all(session, overwrite=overwrite, allow_changes=allow_changes)
    return Run(folder.root)


class Run:
    """A run on disk, or with a `step` one of its checkpoints; every property is read when it is asked for."""

    @python_words()
    def __init__(self, folder: str | Path, *, step: int | None = None) -> None:
        # Absolute, so that it is found from another folder of work too.
        self._run, self._loaded = earlier_run(Path(folder).expanduser().absolute(), {}, step=step)

    def __repr__(self) -> str:
        step = "" if self._run.step is None else f", step={self._run.step}"
        return f"Run({str(self.folder)!r}{step})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._place == other._place

    def __hash__(self) -> int:
        return hash(self._place)

    @property
    def _place(self) -> tuple[Path, int | None]:
        return self.folder.resolve(), self._run.step

    @property
    def name(self) -> str:
        """The folder, and behind an @ the step."""
        return self._run.name

    @property
    def folder(self) -> Path:
        return self._run.root

    @property
    def recipe(self) -> Recipe:
        return self._loaded.recipe

    @property
    def preparation(self) -> Preparation:
        """What became of the rows."""
        return read_artifact(Preparation, self._run.require(self._run.preparation, stage="prepare"))

    @property
    def training(self) -> TrainingResult:
        """What the training took and came to."""
        return read_artifact(TrainingResult, self._run.require(self._run.training, stage="train"))

    @property
    def evaluation(self) -> Evaluation:
        """The whole comparison of the fine-tuned model with its base."""
        return read_evaluation(self._run.require(self._run.metrics, stage="evaluate"))

    @property
    def verdict(self) -> str:
        """Whether the fine-tuned model is "better" or "worse", or "no difference detectable" or "no verdict"."""
        return self.evaluation.verdict

    @property
    def metrics(self) -> Mapping[str, MetricFigures | Proportion]:
        """The metrics by name, each with its 95 % interval (`low`, `high`); of answers that of the `difference`."""
        return self.evaluation.metrics

    @python_words()
    def load(self, which: Literal["tuned", "base"] = "tuned", *, step: int | None = None) -> "AnsweringModel":
        """Load the fine-tuned model, or its base, to be asked; with a `step` the model as that checkpoint has it.

        RecipeError where the run is a classification, RunFolderError where there is no such checkpoint.
        """
        from tutelage.stages.answer import load_models
        from tutelage.system.runtime import caller_state_kept

        if which not in VARIANTS:
            raise RecipeError("cli.value_out_of_range", f"There is no model {which!r}: name tuned or base.")
        of = self if step is None else Run(self.folder, step=step)
        with caller_state_kept():
            [(_, model)] = load_models(of._session(), [which])
        return model

    @python_words()
    def export(
        self,
        target: str,
        *,
        output: str | Path | None = None,
        quantization: Quantization | None = None,
        overwrite: bool = False,
    ) -> "Exported":
        """Write the model for other programs, and verify it.

        Raises ExportError if the export is not the model that was trained, RecipeError for a target that does not
        exist or that the run cannot have, StorageError if it cannot be written.
        """
        from tutelage.stages.export import export
        from tutelage.system.runtime import caller_state_kept

        if not isinstance(target, str):
            raise TypeError(f"target is {target!r}: name one target in each call")
        place = None if output is None else Path(output).expanduser()
        with caller_state_kept():
            [exported] = export(
                self._session(), [target], output=place, quantization=quantization, overwrite=overwrite
            )
        return exported

    def _session(self) -> Session:
        return Session(self._run, self._loaded)


@python_words()
def compare(*runs: "Run | str | Path") -> "RunsCompared":
    """Compare the fine-tuned models of evaluated runs on the same test rows, the baseline first.

    RunFolderError where they were not tested on the same rows.
    """
    from tutelage.stages.compare import compare

    return compare([Path(one.name if isinstance(one, Run) else one) for one in runs])
