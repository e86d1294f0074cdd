import shlex
import subprocess
from itertools import cycle
from pathlib import Path

import pytest

from tutelage.cli.main import app
from tutelage.data.dataset.sample_prompt import SamplePrompt
from tutelage.evaluation.next_steps import answering_steps, evaluate_step, path_argument
from tutelage.objectives.classification.report import class_steps

ROOTS = [Path("runs/mine"), Path('runs/it\'s a "run"'), Path("-runs"), Path("a;b $(id) `id`"), Path("单词")]
TEXTS = ["Who?", 'it\'s "$HOME" `id` $(id)', "two\nlines \\n", "-x", "--base", "! # * ~ ;", "'", "谁？"]


def words_of(command):
    """Return the words of a command as a shell takes it, and hold Python's idea of them against it."""
    told = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, env={"HOME": "/wrong"}
    )
    words = told.stdout.decode().split("\0")[:-1]
    assert words == shlex.split(command)
    return words


def bound(command):
    """Return what the command line makes of a command."""
    function, arguments, _ = app.parse_args(words_of(command)[1:], exit_on_error=False, print_error=False)
    return function.__name__, arguments.arguments


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("root", "given"), list(zip(cycle(ROOTS), ["", *TEXTS], strict=False)))
def test_a_question_comes_through_a_shell_as_it_is(root, text, given):
    steps = answering_steps(path_argument(root), SamplePrompt(text, given), is_exported=False)

    found = [bound(step.command) for step in steps]

    assert [name for name, _ in found] == ["generate", "chat", "export", "serve"]
    for name, arguments in found:
        folder = arguments["run_folder"] if name == "export" else arguments["options"].target
        assert folder.resolve() == root.resolve()
    asked = found[0][1]
    assert (asked["instruction"], asked.get("input", ""), asked["base"]) == (text, given, True)


@pytest.mark.parametrize(("root", "text"), list(zip(cycle(ROOTS), TEXTS, strict=False)))
def test_a_text_to_classify_comes_through_a_shell_as_it_is(root, text):
    steps = class_steps(path_argument(root), SamplePrompt(text), is_exported=False)

    (name, asked), (other, _) = (bound(step.command) for step in steps)

    assert (name, other) == ("classify", "export")
    assert asked["options"].target.resolve() == root.resolve()
    assert asked["texts"] == (text,)


def test_an_unquoted_text_would_not_come_through():
    with pytest.raises((AssertionError, ValueError, subprocess.CalledProcessError)):
        words_of("tutelage generate runs/mine it's $HOME")


def test_without_a_question_the_commands_that_need_none_remain():
    assert [bound(step.command)[0] for step in answering_steps("runs/mine", None, is_exported=False)] == [
        "chat",
        "export",
        "serve",
    ]
    assert [bound(step.command)[0] for step in class_steps("runs/mine", None, is_exported=False)] == [
        "export"
    ]


def test_the_stage_decides_what_comes_next():
    assert bound(evaluate_step("runs/mine").command)[0] == "evaluate"
    after_export = answering_steps("runs/mine", SamplePrompt("Who?"), is_exported=True)
    assert "export" not in [bound(step.command)[0] for step in after_export]
