"""What can be done with a tuned model next, as commands to paste: with the user's own run folder and own row."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from tutelage.data.dataset.sample_prompt import SamplePrompt


@dataclass(frozen=True)
class NextStep:
    """A command as a POSIX shell takes it, and what it is for."""

    about: str
    command: str


def answering_steps(run: str, question: SamplePrompt | None, *, is_exported: bool) -> list[NextStep]:
    """Return the commands that go on with a model that writes answers; without a question those that need none."""
    steps = (
        []
        if question is None
        else [NextStep("Ask the model before and after tuning", _generate(run, question))]
    )
    steps.append(NextStep("Talk with it", f"tutelage chat {run}"))
    if not is_exported:
        steps.append(NextStep("Export the model for other programs", f"tutelage export {run} --to gguf"))
    steps.append(NextStep("Serve it to programs that speak OpenAI's interface", f"tutelage serve {run}"))
    return steps


def evaluate_step(run: str) -> NextStep:
    """Return the command that comes first where a run is not evaluated yet."""
    return NextStep("Find out whether it got better", f"tutelage evaluate {run}")


def classify_command(run: str, question: SamplePrompt) -> str:
    """Return the command that gives a text its label."""
    return f"tutelage classify {run} {_texts(question.text)}"


def path_argument(path: Path) -> str:
    """Return a path as a shell takes it, and no command for an option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def _generate(run: str, question: SamplePrompt) -> str:
    given = _option("--input", question.input) if question.input else ""
    if question.text.startswith("-"):
        return f"tutelage generate {run}{given} --base {_texts(question.text)}"
    return f"tutelage generate {run} {_texts(question.text)}{given} --base"


def _option(name: str, value: str) -> str:
    return f" {name}={shlex.quote(value)}" if value.startswith("-") else f" {name} {shlex.quote(value)}"


def _texts(text: str) -> str:
    """Return a text as the last word of a command; behind `--` one that begins like an option is none."""
    return f"-- {shlex.quote(text)}" if text.startswith("-") else shlex.quote(text)
