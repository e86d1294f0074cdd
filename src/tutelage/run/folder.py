"""The names and the layout of every file that a run writes: the contract between the stages."""

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
ONE_ANSWER = ("",)  # the names of the answers of a row that has one

# What the exports of a folder were found to be.
VERIFICATION = "verification.json"

# Which verb writes a file again, by the name of the file or of its folder.
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
    """Where the prepared rows of one split stand: their texts, and beside them their token ids as arrays."""

    texts: Path
    ids: Path
    table: Path
    spans: Path


def split_files(folder: Path, split: str, answer: str = "") -> SplitFiles:
    """Return the files of a split in a data folder, or those of a further answer of its rows by its name."""
    name = f"{split}.{answer}" if answer else split
    ids, table, spans = (folder / f"{name}.{array}.npy" for array in ("ids", "rows", "spans"))
    return SplitFiles(folder / f"{name}.jsonl", ids, table, spans)


def files_of_answers(folder: Path, split: str, answers: Sequence[str]) -> list[SplitFiles]:
    """Return the files of a split for each answer of a row; those of the first are called as the split is."""
    return [split_files(folder, split), *(split_files(folder, split, name) for name in answers[1:])]


@dataclass(frozen=True)
class RunFolder:
    """One run on disk; each property is the path of one thing that some stage writes.

    With a `step` its weights are those of that checkpoint, and so is its evaluation; all else is the run's own.
    """

    root: Path
    step: int | None = None

    @property
    def name(self) -> str:
        """How people name it: the folder, and after an @ the step."""
        return str(self.root) if self.step is None else f"{self.root}@{self.step}"

    @property
    def words(self) -> str:
        """How `evaluate` is told of it on the command line."""
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
        """Rows that a program handed over, in place of a file of the user's."""
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
        """The steps that a checkpoint is named after, in order; nothing is said about what is in it."""
        return steps_in(self.checkpoints)

    @property
    def lock(self) -> Path:
        """There while a process writes into the folder, and says which."""
        return self.root / ".lock"

    @property
    def quarantine(self) -> Path:
        """Where damaged checkpoints are put."""
        return self.root / "quarantine"

    @property
    def model(self) -> Path:
        return self.root / MODEL

    @property
    def weights(self) -> Path:
        """What is evaluated as the tuned model."""
        return self.model if self.step is None else self.checkpoint(self.step)

    @property
    def training(self) -> Path:
        return self.model / TRAINING

    @property
    def trained_recipe(self) -> Path:
        """The recipe as it was when the model was trained."""
        return self.model / TRAINED_RECIPE

    @property
    def evaluations_at(self) -> Path:
        """Where the evaluations of single checkpoints stand, beside the run's own."""
        return self.root / AT_STEPS

    def evaluated_steps(self) -> list[int]:
        """The steps whose checkpoints were evaluated, in order."""
        return steps_in(self.evaluations_at)

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation" if self.step is None else self.evaluations_at / _step_name(self.step)

    @property
    def evaluated_recipe(self) -> Path:
        """The recipe that the evaluation was made with."""
        return self.recipe if self.step is None else self.evaluation.with_suffix(".toml")

    @property
    def answers(self) -> Path:
        """What an evaluation that is under way has been answered so far."""
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
        """What the later stages have made so far, which says nothing about data that is prepared anew."""
        later = (self.events, self.environment, self.reference, *self.results_of_other_weights())
        return [path for path in later if path.exists()]

    def results_of_other_weights(self) -> list[Path]:
        """What training and the stages after it have made so far, which says nothing about another training."""
        trained = (self.checkpoints, self.quarantine, self.model)
        evaluated = (self.answers, self.evaluation, self.evaluations_at, self.summary, self.report)
        return [path for path in (*trained, *evaluated, self.export) if path.exists()]

    def require(self, path: Path, *, stage: str) -> Path:
        """Return `path`, or say which stage has to run first."""
        if not path.exists():
            words = self.words if stage == "evaluate" else self.root
            raise RunFolderError(
                "run.file_missing", f"{path} is missing. Run `tutelage {stage} {words}` first."
            )
        return path


def _step_name(step: int) -> str:
    return f"step-{step:06d}"


def checkpoint_of(checkpoints: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint among others."""
    return checkpoints / _step_name(step)


def steps_in(folder: Path) -> list[int]:
    """Return the steps that folders in another are named after, in order; nothing is said about what is in them."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(entry.name[5:]) for entry in entries if re.fullmatch(r"step-\d{6,}", entry.name))


@dataclass(frozen=True)
class ExportFolder:
    """Where exports stand: a folder for each format, and what was found when they were verified."""

    root: Path

    def of(self, target: str) -> Path:
        return self.root / target

    @property
    def verification(self) -> Path:
        return self.root / VERIFICATION


def responses_name(variant: str) -> str:
    """Return the file of a model's answers in the folder of an evaluation."""
    return f"{variant}.jsonl"


def set_name(name: str) -> str:
    """Return the file of an eval set there."""
    return f"{SETS}/{name}.jsonl"


def rejected_name(target: str) -> str:
    """Return the file beside exports that says what was found where one was not the model that was trained."""
    return f"rejected-{target}.json"


def gguf_name(quantization: str) -> str:
    return f"model-{quantization}.gguf"


def write_text(path: Path, text: str) -> None:
    """Write a whole file of text as `write_atomically` does."""
    write_atomically(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    write_text(
        path, "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    )


def read_json(path: Path) -> Any:
    """Read a JSON file of a run as it is; RunFolderError if it cannot be read."""
    with reading_faults(path):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def reading_faults(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file of a run into one message that names it and the command that writes it."""
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
    """Return the command that writes a file of a run again, None where that is not known."""
    folder = path.parent.parent if path.parent.name == SETS else path.parent
    is_in_root = path.name in WRITTEN_BY
    verb = WRITTEN_BY.get(path.name if is_in_root else folder.name)
    words = str(folder if is_in_root else folder.parent)
    if folder.parent.name == AT_STEPS:
        verb = "evaluate"
        words = RunFolder(folder.parent.parent, int(folder.name.removeprefix("step-"))).words
    return f"tutelage {verb} {words} --overwrite" if verb else None
