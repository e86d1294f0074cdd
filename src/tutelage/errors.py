"""The error tree: every message says what is wrong, where, and what to do; every kind has one exit code."""

from collections.abc import Mapping
from pathlib import Path

from tutelage.codes import all_codes

EXIT_UNEXPECTED = 1
EXIT_WARNINGS = 1  # of `tutelage check --strict`, which found something to look at
EXIT_USAGE = 2
EXIT_NON_FINITE = 3
EXIT_STORAGE = 4
EXIT_UNTRUSTWORTHY = 5  # of an evaluation whose judge failed its self-test, or left too many answers unscored
EXIT_OTHER_MODEL = 6  # an export that is not the model that was trained
EXIT_WORSE = 7  # the verdict is worse, and --fail-if-worse was given
EXIT_INTERRUPTED = 75  # what is done is saved; the same command goes on
EXIT_LEFT_AT_ONCE = 130  # at the second Ctrl-C

# What `--help` and the guide say of each, in their order.
EXIT_CODES: Mapping[int, str] = {
    0: "success",
    EXIT_WARNINGS: "warnings with check --strict, or an internal error",
    EXIT_USAGE: "invalid usage, data or settings",
    EXIT_NON_FINITE: "non-finite loss",
    EXIT_STORAGE: "storage error",
    EXIT_UNTRUSTWORTHY: "unreliable judge",
    EXIT_OTHER_MODEL: "export verification failed",
    EXIT_WORSE: "worse with --fail-if-worse",
    EXIT_INTERRUPTED: "interrupted; the message says what is kept",
    EXIT_LEFT_AT_ONCE: "stopped by a second Ctrl-C",
}
OF_EVERY_COMMAND = (0, EXIT_USAGE, EXIT_STORAGE, EXIT_INTERRUPTED, EXIT_LEFT_AT_ONCE)
OF_ONE_COMMAND: Mapping[str, tuple[int, ...]] = {
    "run": (EXIT_NON_FINITE, EXIT_UNTRUSTWORTHY, EXIT_WORSE),
    "check": (EXIT_WARNINGS,),
    "train": (EXIT_NON_FINITE,),
    "evaluate": (EXIT_UNTRUSTWORTHY, EXIT_WORSE),
    "compare": (EXIT_WORSE,),
    "export": (EXIT_OTHER_MODEL,),
}


def exit_codes_of(command: str) -> dict[int, str]:
    """Return the codes that a command may leave with, beside that of a fault of Tutelage, each with its meaning."""
    codes = {*OF_EVERY_COMMAND, *OF_ONE_COMMAND.get(command, ())}
    return {code: meaning for code, meaning in EXIT_CODES.items() if code in codes}


def describe_exit_codes(codes: Mapping[int, str]) -> str:
    """Return the sentence that `--help` ends with."""
    return f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in codes.items())}."


class TutelageError(Exception):
    """A fault that the user sees as one message, without a traceback, and a program by its code (see codes.py)."""

    exit_code = EXIT_USAGE

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RecipeError(TutelageError):
    """A setting is unknown, malformed, or cannot be honoured."""


class DataError(TutelageError):
    """The data cannot be read, or no example would be left to train on; `row` is the first row at fault, if any."""

    def __init__(self, code: str, message: str, *, row: int | None = None) -> None:
        super().__init__(code, message)
        self.row = row

    @property
    def rule(self) -> int | None:
        """The number of the broken rule of docs/reference/data-rules.md, if the fault is about one."""
        return all_codes()[self.code].rule


class EncodingError(DataError):
    """A byte is not of its file's encoding; `likely` is the one that it may be of."""

    def __init__(self, message: str, *, likely: str) -> None:
        super().__init__("data.wrong_encoding", message)
        self.likely = likely


class ModelError(TutelageError):
    """The model or its tokenizer is missing, damaged, or of an unsupported kind."""


class RunFolderError(TutelageError):
    """A run folder lacks what a stage needs, or already holds what it would write."""


class FetchError(TutelageError):
    """Something has to be fetched and could not be: no network, or bytes with the wrong hash."""


class LanguageModelError(TutelageError):
    """A language model that was named as a judge or a writer cannot be opened, or gave no reply."""


class NonFiniteError(TutelageError):
    """The loss or a gradient is no longer a finite number; the weights were not updated."""

    exit_code = EXIT_NON_FINITE


class MemoryExhaustedError(TutelageError):
    """The memory does not hold the model or one step of it."""


class StorageError(TutelageError):
    """A file could not be written: no space, no permission, or a failing disk; `path` is its place, if there is one."""

    exit_code = EXIT_STORAGE

    def __init__(self, code: str, message: str, *, path: Path | None = None) -> None:
        super().__init__(code, message)
        self.path = path


class ExportError(TutelageError):
    """An export is not the model that was trained, so it was not published."""

    exit_code = EXIT_OTHER_MODEL


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came, and this is a place from which the run can go on later.

    No Exception, for libraries catch those and go on.
    """
