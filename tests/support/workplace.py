"""What tests of whole commands begin with: the command line, a tiny model made once for each file, and a folder."""

import pytest
from support.command_line import CommandLine
from support.tiny_tokenizer import write_tiny_model


@pytest.fixture
def tutelage(capsys):
    """Run a verb in this process and keep what it prints."""
    return CommandLine(capsys)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder to work in, with an empty cache; nothing is to be fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path
