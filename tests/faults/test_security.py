"""A whole run, stopped and resumed: nothing is unpickled, nothing is connected to, and no secret is written down."""

import os
import pickle
import signal
import socket
from contextlib import ExitStack, contextmanager, suppress
from unittest.mock import patch

import pytest
import torch
from support.children import run
from support.failpoints import before_each
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import chatml_tokenizer, write_tiny_model

from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.errors import DataError, ModelError

pytestmark = pytest.mark.forks

CANARY = "canary-7f3a9c51e2"
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL")
WORDS = [
    "run", "--data", "my.json", "--output", "run", "--set", "model.name_or_path=tiny", "--set", "training.max_steps=4",
    "--set", "training.save_steps=2", "--set", "training.dtype=float32", "--set", "adapter.r=2",
    "--set", "evaluation.limit=4", "--set", "evaluation.max_new_tokens=4",
]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tutelage.report.charts._svg", lambda *_, **__: "<svg></svg>")
    write_tiny_model(tmp_path / "tiny")
    write_rows(tmp_path / "my.json", alpaca_values(80))
    return tmp_path


@contextmanager
def nothing_unpickled_or_connected():
    def refuse(*_, **__):
        raise AssertionError("something was unpickled, or connected to")

    with ExitStack() as stack:
        for owner, name in [
            (pickle, "load"),
            (pickle, "loads"),
            (torch, "load"),
            (socket, "create_connection"),
            (socket, "getaddrinfo"),
        ]:
            stack.enter_context(patch.object(owner, name, refuse))
        stack.enter_context(patch.object(socket.socket, "connect", refuse))
        yield


@contextmanager
def stopped_at_the_second_checkpoint():
    def act(number, operation, path):
        if operation == "make" and "step-000004" in path.name:
            os.kill(os.getpid(), signal.SIGTERM)

    with nothing_unpickled_or_connected(), before_each(act):
        yield


def test_a_run_unpickles_nothing_connects_to_nothing_and_writes_no_secret(place, monkeypatch):
    """Properties 47, 56 and 57."""
    for name in SECRETS:
        monkeypatch.setenv(name, CANARY)
    stopped = run(WORDS, place / "said.txt", around=stopped_at_the_second_checkpoint)
    assert stopped.code == 75, stopped.said
    resumed = run(WORDS, place / "again.txt", around=nothing_unpickled_or_connected)
    assert resumed.code == 0, resumed.said
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("name", ["pickle.loads", "socket.create_connection"])
def test_the_guard_catches_a_program_that_does(name):
    module, _, call = name.partition(".")
    with nothing_unpickled_or_connected(), pytest.raises(AssertionError, match="unpickled, or connected"):
        getattr({"pickle": pickle, "socket": socket}[module], call)(b"")


PAYLOADS = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__.os.popen('id').read() }}",
    "{{ namespace.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum.__globals__.__builtins__.__import__('os').system('id') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}{{ ''.__class__ }}",
    "{{ ''['__class__']['__mro__'] }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}",
    "{{ (''|attr('format'))('{0.__class__.__mro__}', 1) ~ ''.__class__ }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
    "{{ '%s'.__mod__(1) }}",
    "{{ messages.append({}) }}",
    "{{ messages[0].update({'content': 1}) }}",
    "{{ messages.clear() }}",
    "{% set x = messages.pop() %}",
    "{% for i in range(10**9) %}{% endfor %}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'other' %}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__ }}",
    "{{ strftime_now.__code__ }}",
    "{{ request.application.__globals__ }}",
    "{{ config.items() }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ dict.mro() }}",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_template_that_reaches_for_more_than_its_messages_gets_nothing(payload):
    """Property 49: of thirty known ways out of a template each is refused, or gives nothing at all."""
    tokenizer = chatml_tokenizer()
    honest = asked(tokenizer)
    tokenizer.chat_template = payload + tokenizer.chat_template
    with suppress(ModelError, DataError):
        assert asked(tokenizer) == honest


def test_a_template_that_gets_something_is_caught():
    tokenizer = chatml_tokenizer()
    honest = asked(tokenizer)
    tokenizer.chat_template = "{{ messages[0]['role'] }}" + tokenizer.chat_template
    assert asked(tokenizer) != honest


def asked(tokenizer):
    return make_renderer(tokenizer, "chat").prompt_ids(single_exchange_of(0, "Name a fruit.", "", "A plum."))
