"""`tutelage chat` and `tutelage serve` as a user types them."""

import io
import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from tutelage.run.lines import read_json_lines


@pytest.fixture
def type_in(tutelage, tuned_run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def typed(*lines):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return tutelage("chat", tuned_run.root)

    return typed


def test_a_question_is_answered_as_generate_answers_it(tutelage, tuned_run, type_in):
    expected = tutelage("generate", tuned_run.root, "Name a fruit.").out
    done = type_in("Name a fruit.")
    assert (done.code, done.err) == (0, "")
    assert expected.strip() in done.out


def test_both_answer_and_each_remembers_its_own(type_in, tmp_path):
    done = type_in("Hello.", "/both", "Again.", "/save talk.jsonl")
    assert done.code == 0
    saved = {one["model"]: one["messages"] for one in read_json_lines(tmp_path / "talk.jsonl")}
    said = {
        variant: [one["content"] for one in messages if one["role"] == "user"]
        for variant, messages in saved.items()
    }
    assert said == {"base": ["Again."], "tuned": ["Hello.", "Again."]}
    assert done.out.index("base\n") < done.out.index("tuned\n")


def test_what_was_said_can_be_forgotten_and_a_file_is_not_written_over(type_in, tmp_path):
    (tmp_path / "mine.jsonl").write_text("kept")
    done = type_in(
        "Hello.", "/reset", "Again.", "/save mine.jsonl", "/save new.jsonl", "/save", "/nonsense", "/help"
    )
    assert (tmp_path / "mine.jsonl").read_text() == "kept"
    [only] = read_json_lines(tmp_path / "new.jsonl")
    assert [one["content"] for one in only["messages"] if one["role"] == "user"] == ["Again."]
    for told in ("already exists", "Name a file", "Unknown command /nonsense", "/both"):
        assert told in done.out


def test_what_cannot_be_saved_or_done_is_told_and_the_conversation_goes_on(type_in, tmp_path):
    (tmp_path / "file").write_text("kept")
    done = type_in(
        "/save empty.jsonl",
        "Hello.",
        "/save file/talk.jsonl",
        f"/save {'long' * 100}",
        "/save no\0name",
        "/save ~nobody-of-this-name/talk.jsonl",
        "/reset now",
        "/quit now",
        "/save talk.jsonl",
    )
    assert (done.code, done.err) == (0, "")
    for told in (
        "There is no conversation yet, so nothing was written.",
        "Could not write file/talk.jsonl: ",
        "longlong': File name too long.",
        "Could not write 'no\\x00name': embedded null byte.",
        "Could not determine home directory",
        "/reset takes no arguments.",
        "/quit takes no arguments",
    ):
        assert told in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "talk.jsonl"]
    [only] = read_json_lines(tmp_path / "talk.jsonl")
    assert only["messages"][0]["content"] == "Hello."


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_line_that_is_not_utf_8_is_told_and_the_next_is_answered(tutelage, tuned_run, monkeypatch, errors):
    typed = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\nHello.\n"), encoding="utf-8", errors=errors)
    monkeypatch.setattr(sys, "stdin", typed)
    done = tutelage("chat", tuned_run.root)
    assert (done.code, done.err) == (0, "")
    assert "half of a surrogate pair" in done.out
    assert "(cut after 12 tokens" in done.out


def test_a_closed_standard_input_is_told(tutelage, tuned_run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    done = tutelage("chat", tuned_run.root)
    assert done.code == 2
    assert "reads from standard input, which is closed" in done.err


def test_a_conversation_beyond_the_context_is_told_with_its_numbers(type_in):
    done = type_in("word " * 600, "Name a fruit.")
    assert done.code == 0
    assert "of the context of 512" in done.out
    assert "/reset clears the conversation" in done.out


def test_nothing_of_an_answer_can_drive_the_terminal(type_in, monkeypatch):
    from tutelage.serve.answer_text import AnswerText

    monkeypatch.setattr(AnswerText, "_text", lambda self: "\x1b[31mred" if self._ids else "")
    assert "\x1b[31m" not in type_in("Hello.").out


@pytest.mark.parametrize("words", [["--overwrite"], ["--set", "training.seed=9"]])
@pytest.mark.parametrize("verb", ["chat", "serve"])
def test_what_cannot_be_honoured_is_refused(tutelage, tuned_run, verb, words):
    assert tutelage(verb, tuned_run.root, *words).code == 2


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(tutelage, tuned_run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = tutelage("serve", tuned_run.root, "--port", port)
    assert refused.code == 2
    assert f"Cannot listen on 127.0.0.1 at port {port}: Address already in use." in refused.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.org"])
def test_a_server_that_others_reach_does_not_start_without_a_key(tutelage, tuned_run, monkeypatch, host):
    monkeypatch.delenv("TUTELAGE_API_KEY", raising=False)
    refused = tutelage("serve", tuned_run.root, "--host", host, "--port", 0)
    assert (refused.code, refused.out) == (2, "")
    assert "can use this server. Set TUTELAGE_API_KEY" in refused.err


@pytest.mark.parametrize("key", ["line\nbreak", "schlüssel", "🔑", "trailing ", "\x1b[31m"])
def test_a_key_that_no_request_could_show_is_refused_and_not_told(tutelage, tuned_run, monkeypatch, key):
    monkeypatch.setenv("TUTELAGE_API_KEY", key)
    refused = tutelage("serve", tuned_run.root, "--port", 0)
    assert refused.code == 2
    assert "so no request could send it" in refused.err
    assert key not in refused.err


@pytest.mark.parametrize("port", [-1, 65536, 10**30])
def test_a_port_that_cannot_be_is_told(tutelage, tuned_run, port):
    refused = tutelage("serve", tuned_run.root, "--port", port)
    assert refused.code == 2
    assert "Cannot listen on" in refused.err


def test_a_server_is_told_of_answers_and_ends_in_order(tuned_run):
    command = [sys.executable, "-m", "tutelage", "serve", str(tuned_run.root), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    ) as process:
        assert process.stdout is not None
        told = next(line for line in process.stdout if "answers with the models" in line)
        url = told.split()[0]
        body = {"model": "tuned", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
        answer = httpx2.post(f"{url}/chat/completions", json=body, timeout=60)
        assert answer.json()["usage"]["completion_tokens"] == 3
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read().endswith("Stopped.\n")
        assert time.monotonic() - begin < 30
