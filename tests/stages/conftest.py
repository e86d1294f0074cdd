"""A tiny model, and sessions on runs of it whose events are kept."""

import shutil

import pytest
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.config.recipe_file import load
from tutelage.run.folder import RunFolder
from tutelage.stages.run import run_all
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


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows") / "my.json", alpaca_values(80))


def made_session(root, rows, model, **changed):
    """Make a session on a run in a folder; its events are in `session.heard`."""
    given = {
        "data.source": str(rows),
        "model.name_or_path": str(model),
        **SETTINGS,
        **{key.replace("__", "."): value for key, value in changed.items()},
    }
    loaded = load(None, {}, [f"{key}={value}" for key, value in given.items()])
    heard = []
    session = Session(RunFolder(root), loaded, listener=heard.append)
    session.heard = heard
    return session


@pytest.fixture
def session_on(tmp_path, rows, model, monkeypatch):
    """Return what makes a session on a run of 80 rows."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return lambda name="mine", **changed: made_session(tmp_path / name, rows, model, **changed)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory, rows, model):
    """The folder of a finished run, which is only read."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELAGE_CACHE", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        run_all(made_session(root / "mine", rows, model))
    return root / "mine"


@pytest.fixture
def finished(session_on, made_once):
    """A session on a copy of a finished run."""
    session = session_on()
    shutil.copytree(made_once, session.run.root)
    return session
