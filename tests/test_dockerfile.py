"""The steps of the Dockerfile, taken without Docker: each holds for this tree."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOST = re.compile(r"https?://|[\w-]+\.(org|com|io|net)\b")


def steps_of(text):
    """Return the instructions of a Dockerfile in their order, each with its argument."""
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")
    ]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def ignored(path, patterns):
    """Tell whether .dockerignore keeps a path of the tree's root out; the last pattern that fits decides."""
    found = False
    for pattern in patterns:
        if fnmatch.fnmatch(path, pattern.removeprefix("!").removeprefix("**/")):
            found = not pattern.startswith("!")
    return found


STEPS = steps_of((CHECKOUT / "Dockerfile").read_text(encoding="utf-8"))
IGNORED = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").split()
COPIES = [shlex.split(rest) for name, rest in STEPS if name == "COPY"]


def the(name):
    [found] = [rest for step, rest in STEPS if step == name]
    return found


def test_its_python_is_one_that_the_package_takes():
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", the("FROM"))[1]
    assert PROJECT["requires-python"] == ">=3.11"
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


@pytest.mark.parametrize("source", [source for *sources, _ in COPIES for source in sources])
def test_what_is_copied_is_in_the_tree_and_not_ignored(source):
    assert (CHECKOUT / source).exists()
    assert not ignored(source, IGNORED)


@pytest.mark.parametrize("source", [".git", ".venv", "runs", "tests", "dist", "__pycache__"])
def test_nothing_else_is_sent_to_the_builder(source):
    assert ignored(source, IGNORED)


@pytest.mark.parametrize("index", ["", "https://torch.example/cpu"])
def test_what_it_installs_is_the_package_in_the_copied_tree(tmp_path, index):
    for *sources, destination in COPIES:
        for source in sources:
            if (CHECKOUT / source).is_dir():
                shutil.copytree(CHECKOUT / source, tmp_path / destination)
            else:
                shutil.copy(CHECKOUT / source, tmp_path / destination)
    install = next(rest for name, rest in STEPS if name == "RUN")
    pip = 'pip() { printf "%s\\n" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-euc", pip + install],
        cwd=tmp_path,
        env=os.environ | {"TORCH_INDEX": index},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    extra = ["--extra-index-url", index] if index else []
    assert words == ["install", "--no-cache-dir", *extra, "--constraint", "constraints.txt", "."]
    assert (tmp_path / "constraints.txt").is_file()
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    assert (tmp_path / project["project"]["readme"]).is_file()
    assert all((tmp_path / name).is_file() for name in project["project"]["license-files"])
    assert (tmp_path / project["tool"]["setuptools"]["packages"]["find"]["where"][0] / "tutelage").is_dir()


def test_it_runs_as_a_user_that_was_made_and_owns_cache_and_work():
    names = [name for name, _ in STEPS]
    make = next(rest for name, rest in STEPS if name == "RUN" and "useradd" in rest)
    user = the("USER")
    assert user != "root"
    assert shlex.split(make)[:5] == ["useradd", "--create-home", "--uid", "1000", user]
    assert names.index("USER") < names.index("ENTRYPOINT")
    *_, owner, cache, work = shlex.split(make)
    assert (owner, cache, work) == (
        user,
        the("VOLUME"),
        [rest for name, rest in STEPS if name == "WORKDIR"][-1],
    )


def test_the_cache_is_in_the_volume():
    assert the("ENV") == f"TUTELAGE_CACHE={the('VOLUME')}"
    assert '"TUTELAGE_CACHE"' in (CHECKOUT / "src/tutelage/system/fetching.py").read_text(encoding="utf-8")


def test_what_it_starts_is_the_installed_command():
    [command] = json.loads(the("ENTRYPOINT"))
    assert command in PROJECT["scripts"]


@pytest.mark.parametrize("command", [rest for name, rest in STEPS if name == "RUN"])
def test_every_command_parses(command):
    subprocess.run(["bash", "-nc", command], check=True)


def test_it_names_no_host_and_every_step_is_checked_here():
    assert not any(HOST.search(rest) for _, rest in STEPS)
    assert {name for name, _ in STEPS} == {
        "FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "ENTRYPOINT", "CMD",
    }  # fmt: skip


def test_a_step_that_does_not_hold_is_caught():
    broken = steps_of(
        "FROM a\n# remark\nCOPY gone.txt ./\nRUN pip install \\\n  --extra-index-url https://b.org/cpu .\n"
    )
    assert broken[1] == ("COPY", "gone.txt ./")
    assert HOST.search(broken[2][1])
    assert not ignored("tests", ["!tests"])
