"""Models asked by name: what is sent, what a fault leads to, and that nothing goes where nobody sent it."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from support.llama_cpp import llama_cpp
from support.scripted_server import Answer, completion, ollama_reply, one_at_a_time, scripted_server
from support.tiny_gguf import write_tiny_gguf

from tutelage.errors import LanguageModelError
from tutelage.llm import server_responses
from tutelage.llm.language_models import load_chat_model, parse_model_name, require_usable_model
from tutelage.system.extras import install_command

SCORE = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 100}},
    "required": ["score"],
    "additionalProperties": False,
}
SECRET = "sk-canary-0123456789"


def ask(
    name: str, *, text: str = "How good?", seconds: float = 20, schema: dict[str, Any] | None = SCORE
) -> str:
    model = load_chat_model(name, timeout_seconds=seconds)
    return model.ask(
        [{"role": "user", "content": text}], seed=123, temperature=0, max_tokens=64, json_schema=schema
    ).text


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds."""
    made: list[float] = []
    monkeypatch.setattr(server_responses.time, "sleep", made.append)
    return made


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_ollama_is_asked_as_in_the_book() -> None:
    with scripted_server(one_at_a_time(ollama_reply('{"score": 85}'))) as server:
        assert ask(f"ollama:judge@{server.address}") == '{"score": 85}'
    assert server.requests[0][0] == "/api/chat"
    assert server.bodies == [
        {
            "model": "judge",
            "messages": [{"role": "user", "content": "How good?"}],
            "stream": False,
            "think": False,
            "options": {"seed": 123, "temperature": 0, "num_ctx": 2048, "num_predict": 64},
            "format": SCORE,
        }
    ]


def test_a_prompt_that_ollama_would_cut_gets_a_larger_context() -> None:
    with scripted_server(one_at_a_time(ollama_reply("{}"))) as server:
        ask(f"ollama:judge@{server.address}", text="é" * 4000)
    assert server.bodies[0]["options"]["num_ctx"] == 4096  # 4,000 tokens at most, and 64 for the reply


def test_an_openai_server_is_asked_for_json_of_the_schema() -> None:
    with scripted_server(one_at_a_time(completion('{"score": 85}'))) as server:
        assert ask(f"openai:judge@{server.address}/v1") == '{"score": 85}'
    assert server.requests[0][0] == "/v1/chat/completions"
    assert server.bodies[0] == {
        "model": "judge",
        "messages": [{"role": "user", "content": "How good?"}],
        "seed": 123,
        "temperature": 0,
        "max_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": SCORE},
        },
    }


def test_without_a_schema_none_is_sent() -> None:
    with scripted_server(one_at_a_time(completion("words"))) as server:
        assert ask(f"openai:judge@{server.address}", schema=None) == "words"
    assert "response_format" not in server.bodies[0]


def test_a_gguf_file_replies_in_process_by_the_grammar(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = write_tiny_gguf(tmp_path / "judge.gguf")
    reply = ask(f"gguf:{path}")
    assert set(json.loads(reply)) == {"score"}
    assert 0 <= json.loads(reply)["score"] <= 100
    assert reply == ask(f"gguf:{path}")


def test_a_real_llama_cpp_server_replies(tmp_path: Path) -> None:
    with llama_cpp(write_tiny_gguf(tmp_path / "judge.gguf")) as server:
        reply = ask(f"openai:judge@{server.address}/v1")
    assert 0 <= json.loads(reply)["score"] <= 100


def test_a_prompt_beyond_the_context_is_refused_not_cut(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(LanguageModelError, match="exceeds the available context size"):
        ask(f"gguf:{write_tiny_gguf(tmp_path / 'judge.gguf')}", text="one two three " * 4000)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500, body=b'{"error": {"message": "out of memory"}}'),
        Answer(status=503),
        Answer(body=b"<html>gateway</html>"),
        Answer(body=b'{"choices": []}'),
        Answer(body=b"[1]"),
        Answer(body=b'{"choices": [{"mess', cut=True),
        Answer(body=b"\x1f\x8b junk", headers={"content-encoding": "gzip"}),
        Answer(body=b" " * (2**20 + 1)),
    ],
    ids=["500", "503", "no JSON", "no choice", "a list", "cut off", "compressed", "endless"],
)
@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_what_may_pass_is_tried_again(kind: str, fault: Answer, pauses: list[float]) -> None:
    good = completion("good") if kind == "openai" else ollama_reply("good")
    with scripted_server(one_at_a_time(fault, fault, good)) as server:
        assert ask(f"{kind}:judge@{server.address}") == "good"
    assert pauses == [1, 2]


def test_a_server_that_asks_to_wait_is_waited_for(pauses: list[float]) -> None:
    busy = Answer(status=429, headers={"retry-after": "7"})
    with scripted_server(one_at_a_time(busy, completion("good"))) as server:
        assert ask(f"openai:judge@{server.address}") == "good"
    assert pauses == [7]


def test_a_pause_longer_than_the_time_is_not_begun(pauses: list[float]) -> None:
    busy = Answer(status=429, headers={"retry-after": "3600"})
    with (
        scripted_server(one_at_a_time(busy)) as server,
        pytest.raises(LanguageModelError, match="in 1 try within 20 seconds.*wait 3,600 seconds"),
    ):
        ask(f"openai:judge@{server.address}")
    assert pauses == []


def test_tries_come_to_an_end(pauses: list[float]) -> None:
    with (
        scripted_server(one_at_a_time(Answer(status=500))) as server,
        pytest.raises(LanguageModelError, match="no reply in 5 tries.*it answered 500"),
    ):
        ask(f"openai:judge@{server.address}")
    assert len(server.requests) == 5
    assert pauses == [1, 2, 4, 8]


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_a_server_that_says_nothing_is_left_in_time(kind: str) -> None:
    with (
        scripted_server(one_at_a_time(None)) as server,
        pytest.raises(LanguageModelError, match="it timed out"),
    ):
        ask(f"{kind}:judge@{server.address}", seconds=0.3)


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_where_no_server_is_the_message_says_what_to_do(kind: str, pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LanguageModelError, match="refused.*Check that the server is running"):
        ask(f"{kind}:judge@http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "OPENAI_API_KEY"), (404, "ollama pull"), (400, "Check the address")]
)
def test_a_refusal_that_stays_is_not_repeated(status: int, remedy: str, pauses: list[float]) -> None:
    with (
        scripted_server(one_at_a_time(Answer(status=status, body=b'{"error": "no"}'))) as server,
        pytest.raises(LanguageModelError, match=f"it answered {status}, no.*{remedy}"),
    ):
        ask(f"ollama:judge@{server.address}")
    assert len(server.requests) == 1
    assert pauses == []


def test_a_redirect_is_not_followed() -> None:
    with (
        scripted_server(one_at_a_time(completion("leaked"))) as other,
        scripted_server(
            one_at_a_time(Answer(status=307, headers={"location": f"{other.address}/v1"}))
        ) as server,
        pytest.raises(LanguageModelError, match="it answered 307"),
    ):
        ask(f"openai:judge@{server.address}")
    assert other.requests == []


def test_another_model_that_answers_is_refused() -> None:
    with (
        scripted_server(one_at_a_time(completion('{"score": 85}', model="small"))) as server,
        pytest.raises(LanguageModelError, match="answered with the model small instead of judge"),
    ):
        ask(f"openai:judge@{server.address}")


@pytest.mark.parametrize("answered", ["judge", "judge-2024-08-06", "/models/judge.gguf"])
def test_a_fuller_name_of_the_same_model_is_the_model(answered: str) -> None:
    with scripted_server(one_at_a_time(completion("good", model=answered))) as server:
        assert ask(f"openai:judge@{server.address}") == "good"


def test_a_server_here_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        scripted_server(one_at_a_time(completion("from the proxy"))) as proxy,
        scripted_server(one_at_a_time(completion("good"))) as server,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.setenv("http_proxy", proxy.address)
        assert ask(f"openai:judge@{server.address}") == "good"
    assert proxy.requests == []


def test_the_key_comes_from_the_environment_and_into_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    echo = Answer(status=401, body=json.dumps({"error": {"message": f"bad key {SECRET}"}}).encode())
    with scripted_server(one_at_a_time(echo)) as server, pytest.raises(LanguageModelError) as refused:
        ask(f"openai:judge@{server.address}")
    assert server.requests[0][1]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(refused.value)


def test_a_key_is_not_sent_in_the_clear_over_a_network(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with scripted_server(one_at_a_time(completion("good"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        assert ask("openai:judge@http://judge.example/v1") == "good"
    assert proxy.requests[0][1]["authorization"] != f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("ollama:llama3", None),
        ("ollama:llama3:8b", None),
        ("openai:m@http://localhost:8080/v1", None),
        ("openai:m@http://[::1]:8080/v1", None),
        ("openai:m@https://api.example/v1", "api.example"),
        ("openai:m@http://localhost.example/v1", "localhost.example"),
        ("openai:m@http://10.0.0.1/v1", "10.0.0.1"),
        ("gguf:judge.gguf", None),
    ],
)
def test_a_name_tells_which_other_host_would_be_asked(name: str, host: str | None) -> None:
    assert parse_model_name(name).remote_host == host


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is not the name of a language model"),
        ("llama3", "is not the name of a language model"),
        ("ollama:", "is not the name of a language model"),
        ("claude:x", "is not the name of a language model"),
        ("openai:gpt-4o", "names no server"),
        ("openai:@http://localhost/v1", "no model before"),
        ("openai:m@localhost:8080", "not an http:// or https://"),
        ("openai:m@file:///etc/passwd", "not an http:// or https://"),
        ("openai:m@http://host:port/v1", "not an http:// or https://"),
        ("openai:m@https://host/v1?key=abc", "OPENAI_API_KEY"),
        (f"openai:m@https://user:{SECRET}@host/v1", "OPENAI_API_KEY"),
        ("gguf:none.gguf", "cannot be read: No such file"),
    ],
)
def test_a_name_that_cannot_be_is_told_with_an_example(name: str, said: str) -> None:
    with pytest.raises(LanguageModelError, match=said) as refused:
        load_chat_model(name, timeout_seconds=1)
    with pytest.raises(LanguageModelError, match=said):
        require_usable_model(name)
    assert "gguf:judge.gguf" in str(refused.value) or "OPENAI_API_KEY" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_what_is_no_gguf_file_is_told(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "text.gguf").write_text("hello")
    for refuse in (require_usable_model, lambda name: load_chat_model(name, timeout_seconds=1)):
        with pytest.raises(LanguageModelError, match="is not a GGUF file"):
            refuse(f"gguf:{tmp_path / 'text.gguf'}")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LanguageModelError, match="cannot load"):
        load_chat_model(f"gguf:{tmp_path / 'cut.gguf'}", timeout_seconds=1)


@pytest.mark.parametrize("package", ["openai", "xllamacpp"])
def test_a_missing_library_is_told_with_the_command(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "judge.gguf").write_bytes(b"GGUF")
    name = "openai:m@http://localhost/v1" if package == "openai" else f"gguf:{tmp_path / 'judge.gguf'}"
    with pytest.raises(LanguageModelError, match=f"needs the package {package}") as refused:
        load_chat_model(name, timeout_seconds=1)
    assert refused.value.code == "llm.not_installed"
    assert install_command("judges") in str(refused.value)


def test_what_can_be_used_is_not_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    with scripted_server(one_at_a_time(completion("good"))) as server:
        require_usable_model(f"openai:judge@{server.address}")
    assert server.requests == []
    (tmp_path / "judge.gguf").write_bytes(b"GGUF")
    require_usable_model(f"gguf:{tmp_path / 'judge.gguf'}")


def test_a_missing_library_is_found_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_usable_model("ollama:llama3")  # needs none
    with pytest.raises(LanguageModelError, match="needs the package openai"):
        require_usable_model("openai:m@http://localhost/v1")
