"""What can be done with a tuned model next, as commands to paste: with the user's own run folder and own row."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tutelage.data.dataset.own_question import Question


@dataclass(frozen=True)
class NextStep:
    """A command as a POSIX shell takes it, and what it is for."""

    about: str
    command: str


def next_steps(
    root: Path,
    question: Question | None,
    *,
    is_classification: bool = False,
    is_evaluated: bool = True,
    exported: Collection[str] = (),
) -> list[NextStep]:
    """Return the commands that go on with a trained run, the most useful first.

    `question` is asked of the model; without one the commands that need none remain. `exported` are the targets that
    an export was just made for.
    """
    run = path_argument(root)
    steps = [] if is_evaluated else [NextStep("Find out whether it got better", f"tutelage evaluate {run}")]
    if is_classification:
        if question:
            steps.append(NextStep("Classify a text", f"tutelage classify {run} {_texts(question.text)}"))
        if not exported:
            steps.append(NextStep("Take the model to another program", f"tutelage export {run} --to hf"))
        return steps
    if question:
        steps.append(NextStep("Ask the model before and after tuning", _generate(run, question)))
    steps.append(NextStep("Talk with it", f"tutelage chat {run}"))
    if not exported:
        steps.append(NextStep("Take the model to another program", f"tutelage export {run} --to gguf"))
    steps.append(NextStep("Serve it to programs that speak OpenAI's interface", f"tutelage serve {run}"))
    return steps


def path_argument(path: Path) -> str:
    """Return a path as a shell takes it, and no command for an option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def _generate(run: str, question: Question) -> str:
    given = _option("--input", question.input) if question.input else ""
    if question.text.startswith("-"):
        return f"tutelage generate {run}{given} --base {_texts(question.text)}"
    return f"tutelage generate {run} {_texts(question.text)}{given} --base"


def _option(name: str, value: str) -> str:
    return f" {name}={shlex.quote(value)}" if value.startswith("-") else f" {name} {shlex.quote(value)}"


def _texts(text: str) -> str:
    """Return a text as the last word of a command; behind `--` one that begins like an option is none."""
    return f"-- {shlex.quote(text)}" if text.startswith("-") else shlex.quote(text)
