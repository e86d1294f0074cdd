"""Names of other models: who answered for whom, and keys that are typed where a name should stand."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.scripted_server import Answer, completion, one_at_a_time, scripted_server

from tutelage.config.recipe_file import load
from tutelage.errors import LanguageModelError, RecipeError
from tutelage.llm.language_models import load_chat_model, require_usable_model
from tutelage.llm.model_names import is_same_model, parse_model_name
from tutelage.text.credentials import holds_key, without_secrets

SECRET = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "GPT-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4", "gpt-4-0613"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet-20241022"),
        ("mistral-large-latest", "mistral-large-2411"),
        ("gemini-2.0-flash", "models/gemini-2.0-flash-001"),
        ("llama3", "llama3:latest"),
        ("judge", "/models/judge.gguf"),
        ("judge.gguf", r"C:\models\Judge.gguf"),
        ("meta-llama/Llama-3-8B", "Llama-3-8B"),
    ],
)
def test_the_same_model_by_a_fuller_name(asked: str, answered: str) -> None:
    assert is_same_model(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4", "gpt-4o-mini"),
        ("gpt-4", "gpt-4-turbo"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("llama3", "llama3:70b"),
        ("llama3", "llama3.1"),
        ("judge", "judge-large"),
        ("judge", "pre-judge"),
        ("one/judge", "other/judge"),
        ("judge", "judge-8192"),
        ("judge", "models/"),
        ("judge", ""),
        ("models/", "judge"),
    ],
)
def test_another_model_by_a_like_name(asked: str, answered: str) -> None:
    assert not is_same_model(asked, answered)
    assert is_same_model(asked, answered, ["x", answered]) == bool(answered)


def ask(address: str, aliases: tuple[str, ...] = ()) -> Any:
    model = load_chat_model(f"openai:gpt-4@{address}/v1", timeout_seconds=20, aliases=aliases)
    return model.ask(
        [{"role": "user", "content": "?"}], seed=1, temperature=0, max_tokens=4, json_schema=None
    )


def test_the_name_that_answered_is_told_with_the_reply_if_it_is_another() -> None:
    names = ("gpt-4", "gpt-4-0613", "house-model", "", " ")
    with scripted_server(one_at_a_time(*(completion("good", model=name) for name in names))) as server:
        told = [ask(server.address, ("house-model",)).model for _ in names]
    assert told == [None, "gpt-4-0613", "house-model", "", ""]


def test_a_prefix_of_a_name_is_refused_with_the_setting_that_accepts_it() -> None:
    with (
        scripted_server(one_at_a_time(completion("good", model="gpt-4o-mini"))) as server,
        pytest.raises(LanguageModelError, match="evaluation.judge_aliases") as refused,
    ):
        ask(server.address)
    assert refused.value.code == "llm.other_model_answered"


KEYS = [
    SECRET,
    "sk-proj-Ab3dEf6hIj9kLm2n",
    "sk-ant-api03-Ab3dEf6hIj9kLm2n",
    "gsk_Ab3dEf6hIj9kLm2nOp5q",
    "hf_Ab3dEf6hIj9kLm2nOp5q",
    "AIzaSyA1b2C3d4E5f6G7h8I9",
    "0123456789abcdef0123456789abcdef",
    "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF",
]


FORMS = [
    "{}",
    "openai:{}",
    "ollama:{}",
    "openai:{}@https://api.example/v1",
    "openai:m:{}@https://api.example/v1",
    "openai:m@{}",
    "openai:m@https://{}/v1",
    "openai:m@https://api.example/{}",
    "gguf:{}",
    "{}:m@https://api.example",
    "openai:m@https://{}@api.example/v1",
    "openai:m@https://u:{}@api.example/v1",
    "openai:m@https://api.example?k={}",
    "openai:m@https://api.example#{}",
    "openai:https://u:{}@api.example/v1",
    "OPENAI_API_KEY={}",
    "openai:m@https://u:p/{}@api.example/v1",
    "openai:m@https://u:p@{}@api.example/v1",
]
# A file may be named by its hash.
NAMES = [form.format(key) for form in FORMS for key in (KEYS[:-2] if form.startswith("gguf") else KEYS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_anywhere_in_a_name_is_refused_and_not_repeated(name: str) -> None:
    (key,) = (key for key in KEYS if key in name)
    with pytest.raises(LanguageModelError) as refused:
        require_usable_model(name)
    assert key not in str(refused.value)
    with pytest.raises(RecipeError) as in_recipe:
        load(None, {"--judge evaluation.judges": [name]}, [])
    assert key not in str(in_recipe.value)
    assert in_recipe.value.code in ("llm.key_in_name", "llm.secret_in_url")


def test_the_key_of_the_environment_is_known_whatever_it_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "my very own words\n")
    with pytest.raises(LanguageModelError) as refused:
        parse_model_name("openai:my very own words@https://api.example/v1")
    assert refused.value.code == "llm.key_in_name"
    monkeypatch.setenv("OPENAI_API_KEY", "ollama")  # a placeholder is no secret
    assert parse_model_name("ollama:llama3").model == "llama3"


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-mini-2024-07-18",
        "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo",
        "pplx-70b-online",
        "xai-grok-2-latest",
        "hf-internal-testing/tiny-random-LlamaForCausalLM",
        "ft:gpt-4o-mini-2024-07-18:org:name:AbCdEf12",
        "qwen2.5-coder:32b-instruct-q4_K_M",
        "task-sk-learn",
        "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M",
        "Mixtral8x7BInstructDPOMergedVersion01",
        f"registry/model:sha256-{'a1' * 32}",
    ],
)
def test_a_name_is_not_taken_for_a_key(name: str) -> None:
    assert not holds_key(name)
    parse_model_name(f"openai:{name}@https://api.example/v1")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:p?ss@host/v1", "https://…"),
        ("https://user:pw@host/v1?key=abc#x", "https://…@host/v1?…"),
        ("https://host/v1?key=a@b", "https://…"),
        ("https://user:pa/ss@host/v1", "https://…@host/v1"),
        ("user:pw@host", "…@host"),
        ("host:port/v1", "host:port/v1"),
        (f"https://host/{SECRET}", "https://host/…"),
    ],
)
def test_an_address_is_repeated_without_its_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_a_refused_address_is_named_by_host_and_path() -> None:
    with pytest.raises(LanguageModelError, match="https://…@judge.example/v1") as refused:
        parse_model_name(f"openai:m@https://user:{SECRET}@judge.example/v1")
    assert refused.value.code == "llm.secret_in_url"


@pytest.mark.parametrize("value", [SECRET, f"openai:m@https://u:{SECRET}@h", 5])
def test_a_setting_of_the_wrong_kind_does_not_repeat_a_key(value: Any) -> None:
    with pytest.raises(RecipeError) as refused:
        load(None, {"--judge evaluation.judges": value}, [])
    assert SECRET not in str(refused.value)


def test_https_in_capitals_takes_the_key() -> None:
    assert parse_model_name("openai:m@HTTPS://api.example/v1").takes_key
    assert parse_model_name("openai:m@http://127.0.0.1:1/v1").takes_key
    assert not parse_model_name("openai:m@HTTP://api.example/v1").takes_key


@pytest.mark.parametrize("key", [f"{SECRET}\nx", f"{SECRET} x", f"{SECRET}é"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(LanguageModelError) as refused:
        load_chat_model("openai:m@http://127.0.0.1:1/v1", timeout_seconds=1)
    assert refused.value.code == "llm.malformed_key"
    assert SECRET not in str(refused.value)


def test_a_key_that_a_server_sends_back_comes_into_no_reply(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\n")
    echo = json.dumps({"error": {"message": "no", "metadata": {"raw": f"Bearer {SECRET}"}}}).encode()
    answers = one_at_a_time(completion(f"your key is {SECRET}"), Answer(status=400, body=echo))
    with scripted_server(answers) as server:
        assert "…" in ask(server.address, ("judge",)).text
        with pytest.raises(LanguageModelError) as refused:
            ask(server.address)
        assert SECRET not in str(refused.value)
    assert server.requests[0][1]["authorization"] == f"Bearer {SECRET}"
