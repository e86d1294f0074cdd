"""One run while a program works on it: its folder and recipe, what these name, and who listens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from tutelage.config.recipe_file import LoadedRecipe, to_toml
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.events import Listener, Stage, ignore
from tutelage.run.folder import RunFolder, write_text
from tutelage.run.functions import write_functions
from tutelage.run.history import record_origins
from tutelage.run.lock import locked
from tutelage.stages.base_model import check_base_model
from tutelage.stages.functions import NO_FUNCTIONS, OwnFunctions
from tutelage.stages.inputs import Inputs
from tutelage.stages.prepared import read_prepared
from tutelage.stages.reporter import Finish, Reporter
from tutelage.system.importing import import_modules
from tutelage.system.interruption import Interruption
from tutelage.system.storage import remove

if TYPE_CHECKING:
    from tutelage.config.recipe import Recipe
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.model.sources import ModelSource
    from tutelage.model.trained import TrainedModel
    from tutelage.objectives.spec import ObjectiveSpec


class Session:
    """What every stage takes: `run` and `loaded` say what to do, `inputs` what with, and `reporter` tells of it.

    A training ends at its next good place once `interruption` is requested.
    """

    def __init__(
        self,
        run: RunFolder,
        loaded: LoadedRecipe,
        *,
        listener: Listener = ignore,
        interruption: Interruption | None = None,
        preload: Callable[[Sequence[str]], None] = import_modules,
        functions: OwnFunctions = NO_FUNCTIONS,
    ) -> None:
        self.run = run
        self.loaded = loaded
        self.reporter = Reporter(listener)
        self.interruption = interruption or Interruption()
        self.inputs = Inputs(loaded, self.reporter, preload=preload, functions=functions)

    @property
    def recipe(self) -> "Recipe":
        """The recipe; once the model is located, with the prompt template that `auto` stands for."""
        return self.inputs.recipe

    @property
    def source(self) -> "ModelSource":
        return self.inputs.source

    @property
    def objective(self) -> "ObjectiveSpec":
        return self.inputs.objective

    def rows(self, split: str) -> "PreparedRows":
        """Map the prepared rows of one split, each with all its answers."""
        return read_prepared(self.run, split, self.objective.rows.answers)

    def trained(self) -> "TrainedModel":
        """Return the model that the run has trained, of which nothing is loaded; RunFolderError where there is none."""
        from tutelage.model.trained import TrainedModel

        run = self.run
        training = read_artifact(TrainingResult, run.require(run.training, stage="train"))
        preparation = read_artifact(Preparation, run.preparation)
        source = self.source  # first: it decides what the recipe's prompt template `auto` stands for
        return TrainedModel(self.recipe, source, preparation, training, run.weights, run.name)

    def trained_on_same_base(self) -> "TrainedModel":
        """Return that model, or stop where its base is not to the byte what it was trained on."""
        trained = self.trained()
        source = trained.source
        check_base_model(self.run, source.fingerprint, source.files, adapter=source.adapter_sha256)
        return trained

    def trained_unchanged(self) -> "TrainedModel":
        """Return that model, or stop where it or its base is not to the byte what was trained."""
        trained = self.trained_on_same_base()
        trained.check()
        return trained

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep others out of the run folder, and write what is reported into its log.

        The evaluation of a single checkpoint stands beside the run's own, of which the log tells.
        """
        with locked(self.run):
            if self.run.step is not None:
                yield
                return
            with self.reporter.logging(self.run.events):
                yield

    def stage(self, name: Stage) -> AbstractContextManager[Finish]:
        """Return a context that reports a stage, behind what the log holds already; it gives what takes the result."""
        self.reporter.hold_until_work()
        return self.reporter.stage(name)

    def replacing_stage(self, name: Stage, *, is_live: bool) -> AbstractContextManager[Finish]:
        """Return such a context for a stage that begins the log itself once it replaces what is there."""
        if self.reporter.log is not None:
            self.reporter.log.hold(is_live=is_live)
        return self.reporter.stage(name)

    def record_recipe(self) -> None:
        """Write the recipe of the run, or of the evaluation of a step, every value spelled out."""
        write_text(self.run.evaluated_recipe, to_toml(self.recipe))
        if self.run.step is None:
            write_functions(self.run, self.inputs.functions.records())
        record_origins(self.run, self.loaded)

    def begin_log(self) -> None:
        """Let the log begin with the stage that holds its lines."""
        if self.reporter.log is not None:
            self.reporter.log.begin(0)

    def pause_log(self) -> None:
        """Close the file of the log, whose lines are held."""
        if self.reporter.log is not None:
            self.reporter.log.close()

    def discard_log(self) -> None:
        """Remove a log that tells of nothing but a stage that came to nothing."""
        if self.reporter.log is not None:
            self.reporter.log.close()
            remove(self.run.events)
