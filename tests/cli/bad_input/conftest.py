"""What is refused is refused with one message, and not a byte on disk is changed."""

import re

import pytest
from support.command_line import CommandLine, contents
from support.tiny_tokenizer import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context=128)


@pytest.fixture
def place(workplace):
    return workplace


@pytest.fixture
def refused(capsys, place):
    """Run a verb that must be refused: one message, exit code 2, and not a byte on disk is changed."""
    command_line = CommandLine(capsys)

    def message_of(*words):
        before = contents(place)
        outcome = command_line(*words)
        assert outcome.code == 2, outcome
        assert "Traceback" not in outcome.out + outcome.err
        assert outcome.err.count("error[") == 1
        assert len(outcome.err) < 1_200
        assert contents(place) == before
        # The waits of a verb whose standard output is an answer stand before it.
        *waits, message = re.split(r"^error\[[a-z0-9_.]+\]: ", outcome.err, flags=re.MULTILINE)
        assert all(line.endswith(" …") for wait in waits for line in wait.splitlines())
        return message.strip()

    return message_of


@pytest.fixture
def refused_file(refused, place, model):
    """Prepare a file of the given content, which must be refused."""

    def message_of(content, *settings, verb="prepare"):
        (place / "rows.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        return refused(
            verb, "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={model}", *settings
        )

    return message_of
