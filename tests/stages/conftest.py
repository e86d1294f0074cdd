"""A tiny model, and sessions on runs of it whose events are kept."""

import pytest
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.config.recipe_file import load
from tutelage.run.folder import RunFolder
from tutelage.stages.session import Session

SETTINGS = {
    "training.max_steps": 4,
    "training.eval_steps": 2,
    "training.dtype": "float32",
    "adapter.r": 2,
    "evaluation.limit": 4,
    "evaluation.max_new_tokens": 8,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def session_on(tmp_path, model, monkeypatch):
    """Return what makes a session on a run of 80 rows; its events are in `session.heard`."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = write_rows(tmp_path / "my.json", alpaca_values(80))

    def made(name="mine", **changed):
        given = {
            "data.source": str(rows),
            "model.name_or_path": str(model),
            **SETTINGS,
            **{key.replace("__", "."): value for key, value in changed.items()},
        }
        loaded = load(None, {}, [f"{key}={value}" for key, value in given.items()])
        heard = []
        session = Session(RunFolder(tmp_path / name), loaded, listener=heard.append)
        session.heard = heard
        return session

    return made
