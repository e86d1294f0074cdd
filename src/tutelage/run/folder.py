"""Names and layout of all files in a run folder: the contract between stages."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.errors import RecipeError, RunFolderError
from tutelage.system.storage import write_atomically

SPLITS = ("train", "test", "validation")
VARIANTS = ("base", "tuned")
SETS = "sets"
MODEL, EXPORT = "model", "export"
AT_STEPS = "evaluation-at"
# Files of the data folder.
LEDGER, PREPARATION = "ledger.jsonl", "preparation.json"
# Files of a model's folder.
TRAINING, TRAINED_RECIPE = "training.json", "recipe.toml"
# Files of an evaluation.
SCORES, PREDICTIONS, PREFERENCES, PASSAGES, BASELINE_ANSWERS = (
    f"{name}.jsonl" for name in ("scores", "predictions", "preferences", "passages", "baselines")
)
ONE_ANSWER = ("",)  # the answer names of rows with a single answer

# The results of verifying exports.
VERIFICATION = "verification.json"

# The command that writes each file, by the name of the file or its folder.
WRITTEN_BY = {
    "data": "prepare",
    "events.jsonl": "train",
    "environment.json": "train",
    "model": "train",
    "reference.json": "train",
    "evaluation": "evaluate",
    "summary.json": "report",
}


@dataclass(frozen=True)
class SplitFiles:
    """The prepared rows of one split: a text file, and arrays of token ids beside it."""

    texts: Path
    ids: Path
    table: Path
    spans: Path


def split_files(folder: Path, split: str, answer: str = "") -> SplitFiles:
    """Return the files of a split in a data folder, or of a further answer by its name."""
    name = f"{split}.{answer}" if answer else split
    ids, table, spans = (folder / f"{name}.{array}.npy" for array in ("ids", "rows", "spans"))
    return SplitFiles(folder / f"{name}.jsonl", ids, table, spans)


def files_of_answers(folder: Path, split: str, answers: Sequence[str]) -> list[SplitFiles]:
    """Return the files of a split for each answer; those of the first answer have no answer in their names."""
    return [split_files(folder, split), *(split_files(folder, split, name) for name in answers[1:])]


@dataclass(frozen=True)
class RunFolder:
    """A run on disk; each property is the path of something that a stage writes.

    With a `step`, weights and evaluation are those of that checkpoint; everything else belongs to the run.
    """

    root: Path
    step: int | None = None

    @property
    def name(self) -> str:
        """Display name: the folder, with @step for a checkpoint."""
        return str(self.root) if self.step is None else f"{self.root}@{self.step}"

    @property
    def words(self) -> str:
        """Arguments for `evaluate` on the command line."""
        return str(self.root) if self.step is None else f"{self.root} --checkpoint {self.step}"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.toml"

    @property
    def functions(self) -> Path:
        return self.root / "functions.json"

    @property
    def environment(self) -> Path:
        return self.root / "environment.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def rows(self, sha256: str) -> Path:
        """Rows passed from Python, in place of a user's file."""
        return self.root / f"rows-{sha256[:12]}.jsonl"

    def split(self, name: str) -> Path:
        return split_files(self.data, name).texts

    @property
    def ledger(self) -> Path:
        return self.data / LEDGER

    @property
    def preparation(self) -> Path:
        return self.data / PREPARATION

    @property
    def reference(self) -> Path:
        return self.root / "reference.json"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        return checkpoint_of(self.checkpoints, step)

    def saved_steps(self) -> list[int]:
        """Steps with a checkpoint folder, sorted; the contents are not checked."""
        return steps_in(self.checkpoints)

    @property
    def lock(self) -> Path:
        """Exists while a process writes to the folder, and names that process."""
        return self.root / ".lock"

    @property
    def quarantine(self) -> Path:
        """Where damaged checkpoints are moved."""
        return self.root / "quarantine"

    @property
    def model(self) -> Path:
        return self.root / MODEL

    @property
    def weights(self) -> Path:
        """The weights that are evaluated as the tuned model."""
        return self.model if self.step is None else self.checkpoint(self.step)

    @property
    def training(self) -> Path:
        return self.model / TRAINING

    @property
    def trained_recipe(self) -> Path:
        """The recipe as of training."""
        return self.model / TRAINED_RECIPE

    @property
    def evaluations_at(self) -> Path:
        """Folder with the evaluations of single checkpoints."""
        return self.root / AT_STEPS

    def evaluated_steps(self) -> list[int]:
        """Steps of evaluated checkpoints, sorted."""
        return steps_in(self.evaluations_at)

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation" if self.step is None else self.evaluations_at / _step_name(self.step)

    @property
    def evaluated_recipe(self) -> Path:
        """The recipe of the evaluation."""
        return self.recipe if self.step is None else self.evaluation.with_suffix(".toml")

    @property
    def answers(self) -> Path:
        """Answers of an unfinished evaluation."""
        return self.root / "answers" if self.step is None else self.evaluation.with_suffix(".answers")

    def responses(self, variant: str) -> Path:
        return self.evaluation / responses_name(variant)

    @property
    def scores(self) -> Path:
        return self.evaluation / SCORES

    def test_set(self, name: str) -> Path:
        return self.evaluation / set_name(name)

    @property
    def metrics(self) -> Path:
        return self.evaluation / "metrics.json"

    @property
    def passages(self) -> Path:
        return self.evaluation / PASSAGES

    @property
    def judges(self) -> Path:
        return self.evaluation / "judges.json"

    @property
    def judgements(self) -> Path:
        return self.evaluation / "judgements.jsonl"

    @property
    def export(self) -> Path:
        return self.root / EXPORT

    def results_of_other_data(self) -> list[Path]:
        """Existing results of later stages, which become invalid when the data changes."""
        later = (self.events, self.environment, self.reference, *self.results_of_other_weights())
        return [path for path in later if path.exists()]

    def results_of_other_weights(self) -> list[Path]:
        """Existing results of training and later stages, which become invalid with new training."""
        trained = (self.checkpoints, self.quarantine, self.model)
        evaluated = (self.answers, self.evaluation, self.evaluations_at, self.summary, self.report)
        return [path for path in (*trained, *evaluated, self.export) if path.exists()]

    def require(self, path: Path, *, stage: str) -> Path:
        """Return `path`; raise RunFolderError with the stage to run if it does not exist."""
        if not path.exists():
            words = self.words if stage == "evaluate" else self.root
            raise RunFolderError(
                "run.file_missing", f"{path} is missing. Run `tutelage {stage} {words}` first."
            )
        return path


def _step_name(step: int) -> str:
    return f"step-{step:06d}"


def checkpoint_of(checkpoints: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint."""
    return checkpoints / _step_name(step)


def steps_in(folder: Path) -> list[int]:
    """Return the steps that subfolders are named after, sorted; their contents are not checked."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(entry.name[5:]) for entry in entries if re.fullmatch(r"step-\d{6,}", entry.name))


@dataclass(frozen=True)
class ExportFolder:
    """Exports: one folder per target, and the results of verifying them."""

    root: Path

    def of(self, target: str) -> Path:
        return self.root / target

    @property
    def verification(self) -> Path:
        return self.root / VERIFICATION


def responses_name(variant: str) -> str:
    """Return the file name of a model's answers in an evaluation folder."""
    return f"{variant}.jsonl"


def set_name(name: str) -> str:
    """Return the file name of a test set in an evaluation folder."""
    return f"{SETS}/{name}.jsonl"


def rejected_name(target: str) -> str:
    """Return the name of the file that records why an export was rejected in verification."""
    return f"rejected-{target}.json"


def gguf_name(quantization: str) -> str:
    return f"model-{quantization}.gguf"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    write_text(
        path, "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    )


def read_json(path: Path) -> Any:
    """Read a JSON file of a run without validation; raise RunFolderError if it is unreadable."""
    with reading_faults(path):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def reading_faults(path: Path) -> Iterator[None]:
    """Turn errors in reading a run's file into one that names the file and the command that writes it."""
    try:
        yield
    except (OSError, ValueError, RecursionError, RecipeError) as fault:
        told = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault).rstrip(".")
        message = f"Could not read {path}: {told}. {_way_to_write_again(path)}"
        raise RunFolderError("run.file_damaged", message) from fault


def _way_to_write_again(path: Path) -> str:
    command = command_that_writes(path)
    again = f"write it again with `{command}`" if command else "run the stage that writes it again"
    return f"If it was lost, edited or cut short, {again}."


def command_that_writes(path: Path) -> str | None:
    """Return the command that writes a run's file again, or None if unknown."""
    folder = path.parent.parent if path.parent.name == SETS else path.parent
    is_in_root = path.name in WRITTEN_BY
    verb = WRITTEN_BY.get(path.name if is_in_root else folder.name)
    words = str(folder if is_in_root else folder.parent)
    if folder.parent.name == AT_STEPS:
        verb = "evaluate"
        words = RunFolder(folder.parent.parent, int(folder.name.removeprefix("step-"))).words
    return f"tutelage {verb} {words} --overwrite" if verb else None
