"""A first run whose adapter is trained further, a second one that does so, and the folder in which they are made."""

from contextlib import contextmanager

import pytest
from support.command_line import CommandLine
from support.further_runs import finetune
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model


@contextmanager
def working_at(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELAGE_CACHE", str(home / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with a model, rows and pairs, which no test changes."""
    root = tmp_path_factory.mktemp("home")
    write_tiny_model(root / "tiny")
    write_rows(root / "rows.json", alpaca_values(80))
    write_rows(root / "pairs.json", preference_values(40))
    return root


@pytest.fixture(autouse=True)
def at_home(home):
    with working_at(home):
        yield


@pytest.fixture(scope="session")
def first(home):
    """A run whose adapter is trained further."""
    with working_at(home):
        return finetune(
            home, "first", data="rows.json", name_or_path=str(home / "tiny"), r=3, lora_alpha=5, max_steps=6
        )


@pytest.fixture(scope="session")
def second(home, first):
    """A preference tuning that goes on from it."""
    with working_at(home):
        return finetune(home, "second", adapter=first.folder, max_steps=4)


@pytest.fixture
def command(capsys):
    return CommandLine(capsys)


@pytest.fixture
def heard():
    def listen(event):
        if event.event == "message":
            listen.codes.append(event.code)

    listen.codes = []
    return listen
