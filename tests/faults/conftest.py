"""One run that nothing happened to, against which all others are held."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from support.children import run
from support.interrupted import listing, losses, made_by, words
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.system import storage


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with rows and a model, in which the runs are made."""
    home = tmp_path_factory.mktemp("faults")
    write_tiny_model(home / "tiny")
    write_rows(home / "my.json", alpaca_values(80))
    return home


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("TUTELAGE_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(storage, "WAITS_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(
        "tutelage.report.charts._svg", lambda *_, **__: "<svg></svg>"
    )  # most of a run's time here
    return home


@pytest.fixture(scope="session")
def straight(home):
    """What an undisturbed run makes, and the paths of its operations in order."""
    here = Path.cwd()
    os.chdir(home)
    try:
        with patch.dict(os.environ, TUTELAGE_CACHE=str(home / "cache"), HF_HUB_OFFLINE="1"):
            ended = run(words("straight"), home / "straight.txt", around=lambda: listing(home / "operations"))
    finally:
        os.chdir(here)
    assert ended.code == 0, ended.said
    operations = (home / "operations").read_text().split("\n")
    return made_by(home / "straight"), losses(home / "straight"), operations
