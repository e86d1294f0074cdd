"""The table of commands, which stands for functions that are imported when they are wanted."""

import inspect
import re
import shlex
import subprocess
import sys
from importlib import import_module

import pytest
from cyclopts import CycloptsError

from tutelage.cli.commands import COMMANDS, DATA_COMMANDS, RECIPE_COMMANDS, WORKFLOW
from tutelage.cli.main import app
from tutelage.version import __version__

ALL = {
    **COMMANDS,
    **{f"data {name}": command for name, command in DATA_COMMANDS.items()},
    **{f"recipes {name}": command for name, command in RECIPE_COMMANDS.items()},
}


@pytest.mark.parametrize("name", ALL)
def test_help_says_of_a_command_what_its_function_says(name):
    module, _, function = ALL[name].function.partition(":")
    assert inspect.getdoc(getattr(import_module(module), function)) == ALL[name].help


def test_help_imports_no_command_and_no_settings():
    program = (
        "import sys\nfrom tutelage.cli.main import main\n"
        "try:\n    main(['--help'])\nfinally:\n    print('\\nimported:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = {*done.stdout.partition("imported:")[2].split()}
    assert "tutelage.cli.main" in imported
    commands = {command.function.partition(":")[0] for command in ALL.values()}
    assert not imported & {*commands, "tutelage.config.recipe", "pydantic"}


def test_help_groups_the_commands_by_workflow_on_one_screen(tutelage):
    shown = tutelage("--help").out
    headings = re.findall(r"^╭─ (.+?) ─+╮$", shown, flags=re.MULTILINE)
    assert headings == [*WORKFLOW, "Options"]
    listed = re.findall(r"^│ ([a-z]+)  ", shown, flags=re.MULTILINE)
    assert sorted(listed) == sorted([*COMMANDS, "data", "recipes"])
    assert len(shown.splitlines()) <= 50
    widths = {len(line) for line in shown.splitlines()}
    assert max(widths) <= 80


@pytest.mark.parametrize("example", [example for command in ALL.values() for example in command.examples])
def test_an_example_is_a_command_line_that_is_taken(example):
    program, *words = shlex.split(example.partition(" > ")[0])
    assert program == "tutelage"
    app.parse_args(words, exit_on_error=False, print_error=False)


def test_an_example_with_an_option_that_is_not_there_is_caught():
    with pytest.raises(CycloptsError):
        app.parse_args(["train", "runs/mine", "--data", "x"], exit_on_error=False, print_error=False)


def test_the_version_has_a_short_option(tutelage):
    assert tutelage("-V").out == tutelage("--version").out == f"{__version__}\n"
