"""The wheel and the source archive hold every file of the package, and so does what is installed from them."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
OF_THE_BUILD = ("pyproject.toml", "README.md", "LICENSE")


def build(place, *, without=""):
    """Build both from a copy of the tree by the installed setuptools, and return their files of the package."""
    for name in OF_THE_BUILD:
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        (place / name).write_text(
            "".join(line for line in text.splitlines(True) if not without or without not in line)
        )
    shutil.copytree(
        CHECKOUT / "src" / "tutelage",
        place / "src" / "tutelage",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    program = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, check=True)
    [wheel], [archive] = place.glob("dist/*.whl"), place.glob("dist/*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = {name for name in opened.namelist() if name.startswith("tutelage/")}
    with tarfile.open(archive) as opened:
        inside = [member.name.partition("/")[2] for member in opened.getmembers() if member.isfile()]
    in_archive = {name.removeprefix("src/") for name in inside if name.startswith("src/tutelage/")}
    return in_wheel, in_archive


@pytest.fixture(scope="module")
def files():
    root = CHECKOUT / "src"
    found = (
        path for path in (root / "tutelage").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {path.relative_to(root).as_posix() for path in found}


def test_wheel_and_archive_hold_every_file_of_the_package(files, tmp_path):
    in_wheel, in_archive = build(tmp_path)
    assert in_wheel == files
    assert in_archive == files


def test_a_file_that_is_not_declared_is_missed(files, tmp_path):
    in_wheel, _ = build(tmp_path, without='"tutelage.config.recipes" =')
    missed = files - in_wheel
    assert missed
    assert all(name.startswith("tutelage/config/recipes/") and name.endswith(".toml") for name in missed)
