"""The command that installs an extra is one that works from a clone."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tutelage.system import extras
from tutelage.system.extras import install_command

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [name for name in PROJECT["optional-dependencies"] if name != "dev"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_every_package_of_an_extra_and_not_tutelage_itself(extra):
    command = install_command(extra)
    assert command.startswith(f"{sys.executable} -m pip install ")
    packages = {Requirement(one) for one in shlex.split(command)[4:]}
    assert packages == {Requirement(one) for one in PROJECT["optional-dependencies"][extra]}


def test_an_environment_without_pip_is_filled_by_uv(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert install_command("judges").startswith(f"uv pip install --python {sys.executable} ")


def test_an_extra_that_does_not_exist_is_a_fault_of_ours():
    with pytest.raises(AssertionError):
        install_command("judge")
