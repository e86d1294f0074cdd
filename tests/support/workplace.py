"""What tests of whole commands begin with: the command line, a tiny model made once for each file, and a folder."""

import json
import re
from html import escape

import pytest
from markupsafe import Markup
from support.command_line import CommandLine
from support.rows import write_rows
from support.tiny_tokenizer import write_tiny_model

from tutelage.evaluation.regression import general_text_check
from tutelage.report import charts

# Of each kind; together enough for a verdict on the general text.
PASSAGES = 5
GENERAL_PROMPTS = 10


@pytest.fixture
def tutelage(capsys, short_evaluation):
    """Run a verb in this process and keep what it prints."""
    return CommandLine(capsys)


@pytest.fixture
def short_evaluation(short_general_text, monkeypatch):
    """Read little general text, and write the titles of charts without drawing them.

    Together that is half of what a run of a tiny model takes.
    """
    monkeypatch.setattr(charts, "_svg", lambda layers, *_, **__: Markup(f"<svg>{titles(layers)}</svg>"))


@pytest.fixture
def short_general_text(monkeypatch):
    """Read the shortest passages of each kind of general text, and the first general prompts."""
    prompts = general_text_check.general_prompts()[:GENERAL_PROMPTS]
    texts = {
        kind: "\n\n".join(sorted(general_text_check.cut(text), key=len)[:PASSAGES])
        for kind, text in general_text_check.general_texts().items()
    }
    monkeypatch.setattr(general_text_check, "general_texts", lambda: texts)
    monkeypatch.setattr(general_text_check, "general_prompts", lambda: prompts)


def titles(layers):
    """The titles that the marks and axes of a chart have, as text of a page."""
    described = json.dumps([layer.to_dict(validate=False) for layer in layers])
    return " ".join(escape(title) for title in re.findall(r'"title": "([^"]*)"', described))


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


def words_of_short_run(data, values, model):
    """Write rows, and return the words of a run of two steps on them that answers twelve test rows."""
    write_rows(data, values)
    settings = {
        "model.name_or_path": model,
        "training.max_steps": 2,
        "training.dtype": "float32",
        "adapter.r": 2,
        "evaluation.limit": 12,
        "evaluation.max_new_tokens": 6,
        "evaluation.general_text": "false",
        "data.train_size": 0.6,
        "data.test_size": 0.3,
    }
    return ["--data", data.name, *(f"--set={name}={value}" for name, value in settings.items())]
