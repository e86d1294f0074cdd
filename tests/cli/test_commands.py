"""The table of commands, which stands for functions that are imported when they are wanted."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from tutelage.cli.commands import COMMANDS, DATA_COMMANDS, RECIPE_COMMANDS

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
