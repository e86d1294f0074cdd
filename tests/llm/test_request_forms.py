"""Servers that refuse a part of a question are asked without it, by the bodies that vendors really send."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.scripted_server import Answer, completion, ollama_reply, one_at_a_time, scripted_server

from tutelage.errors import LanguageModelError
from tutelage.llm import server_responses
from tutelage.llm.language_models import load_chat_model
from tutelage.llm.server_responses import Reply

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
MESSAGES = [{"role": "system", "content": "Grade."}, {"role": "user", "content": "How good?"}]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def ask(name: str, times: int = 1) -> Reply:
    model = load_chat_model(name, timeout_seconds=20)
    for _ in range(times):
        reply = model.ask(MESSAGES, seed=1, temperature=0, max_tokens=64, json_schema=SCHEMA)
    return reply


def openai_error(message: str, parameter: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}}


def mistral_error(name: str) -> dict[str, Any]:
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "param": None}


def google_error(*names: str) -> list[dict[str, Any]]:
    words = "\n".join(
        f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in names
    )
    return [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]


Refuse = Callable[[dict[str, Any]], tuple[int, Any] | None]


def has(name: str, status: int, error: Any) -> Refuse:
    return lambda body: (status, error) if name in body else None


def form_is(kind: str, status: int, error: Any) -> Refuse:
    return lambda body: (status, error) if body.get("response_format", {}).get("type") == kind else None


def has_system(status: int, error: Any) -> Refuse:
    return lambda body: (status, error) if body["messages"][0]["role"] == "system" else None


def is_cold(status: int, error: Any) -> Refuse:
    return lambda body: (status, error) if body.get("temperature", 1) == 0 else None


OPENAI_LIMIT = has(
    "max_tokens",
    400,
    openai_error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    ),
)
OPENAI_TEMPERATURE = is_cold(
    400,
    openai_error(
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
        "temperature",
        "unsupported_value",
    ),
)
DEEPSEEK_FORMAT = form_is("json_schema", 400, openai_error("This response_format type is unavailable now"))

VENDORS: dict[str, list[Refuse]] = {
    "OpenAI, reasoning": [OPENAI_LIMIT, OPENAI_TEMPERATURE],
    "OpenAI, o1-mini": [
        OPENAI_LIMIT,
        OPENAI_TEMPERATURE,
        form_is(
            "json_schema",
            400,
            openai_error(
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                "response_format",
            ),
        ),
        has_system(
            400,
            openai_error(
                "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                "messages[0].role",
                "unsupported_value",
            ),
        ),
    ],
    "proxy without fields": [
        has("max_tokens", 400, {"error": {"message": "max_tokens is not supported", "code": "x"}})
    ],
    "DeepSeek": [DEEPSEEK_FORMAT],
    "DeepSeek, as text": [
        form_is(
            "json_schema",
            422,
            openai_error("response_format.type `json_schema` is unavailable now at line 1"),
        )
    ],
    "LM Studio": [
        form_is("json_schema", 400, {"error": "'response_format.type' must be 'text'"}),
        form_is("json_object", 400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}),
    ],
    "Groq": [
        form_is(
            "json_schema",
            400,
            openai_error("This model does not support response format `json_schema`. See supported models."),
        )
    ],
    "Mistral": [has("seed", 422, mistral_error("seed"))],
    "Google": [
        lambda body: (
            (400, google_error("seed", "temperature")) if {"seed", "temperature"} & set(body) else None
        )
    ],
    "Moonshot": [is_cold(400, openai_error("invalid temperature: only 1 is allowed for this model"))],
    "Anthropic": [is_cold(400, openai_error("`temperature` may only be set to 1 when thinking is enabled."))],
    "TGI": [is_cold(422, {"error": "Input validation error: `temperature` must be strictly positive"})],
    "vLLM": [
        form_is(
            "json_schema", 400, {"object": "error", "message": "Failed to compile the grammar.", "code": 400}
        )
    ],
    "vLLM, Gemma": [
        has_system(400, {"object": "error", "message": "System role not supported", "code": 400})
    ],
    "llama.cpp": [
        form_is(
            "json_schema", 400, {"error": {"code": 400, "message": "Failed to parse grammar", "type": "x"}}
        )
    ],
    "FastAPI": [
        has("seed", 422, {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]})
    ],
    "OpenRouter": [
        has("seed", 404, openai_error("No endpoints found that support the requested parameters."))
    ],
    "no words at all": [form_is("json_schema", 400, None)],
    "no names": [is_cold(400, {"message": "Unsupported parameter"})],
}


def vendor(
    refusals: list[Refuse], reply: Callable[[str], Answer] = completion
) -> Callable[[dict[str, Any]], Answer]:
    def script(body: dict[str, Any]) -> Answer:
        for refuse in refusals:
            refused = refuse(body)
            if refused:
                status, error = refused
                return Answer(status=status, body=b"" if error is None else json.dumps(error).encode())
        return reply('{"score": 85}')

    return script


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_that_refuses_a_part_is_asked_without_it_and_only_once(name: str) -> None:
    with scripted_server(vendor(VENDORS[name])) as server:
        assert ask(f"openai:judge@{server.address}/v1", times=3).text == '{"score": 85}'
    refused = len(server.requests) - 3
    assert 1 <= refused <= 6
    assert server.bodies[-1] == server.bodies[-2] == server.bodies[-3]  # what was refused stays out


def test_what_is_refused_goes_and_the_rest_stays() -> None:
    with scripted_server(vendor(VENDORS["OpenAI, reasoning"])) as server:
        reply = ask(f"openai:judge@{server.address}/v1")
    last = server.bodies[-1]
    assert (last["max_completion_tokens"], last["seed"]) == (64, 1)
    assert not {"max_tokens", "temperature"} & set(last)
    assert last["response_format"]["type"] == "json_schema"
    assert reply.left_out == ("temperature",)


def test_without_a_schema_json_is_asked_for_and_then_nothing() -> None:
    with scripted_server(vendor(VENDORS["LM Studio"])) as server:
        reply = ask(f"openai:judge@{server.address}/v1")
    kinds = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert kinds == ["json_schema", "json_object", None]
    assert reply.left_out == ("json_schema",)


def test_a_system_message_that_is_refused_begins_the_question() -> None:
    with scripted_server(vendor(VENDORS["vLLM, Gemma"])) as server:
        ask(f"openai:judge@{server.address}/v1")
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Grade.\n\nHow good?"}]


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        (has("think", 400, {"error": 'think value "false" is not supported for this model'}), "format"),
        (
            lambda body: (
                (400, {"error": "json: cannot unmarshal object into field ChatRequest.format"})
                if isinstance(body.get("format"), dict)
                else None
            ),
            "think",
        ),
    ],
)
def test_an_older_ollama_is_asked_without_what_it_does_not_know(refusal: Refuse, kept: str) -> None:
    with scripted_server(vendor([refusal], ollama_reply)) as server:
        assert ask(f"ollama:judge@{server.address}").text == '{"score": 85}'
    assert len(server.requests) == 2
    assert server.bodies[0]["think"] is False
    assert kept in server.bodies[-1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai_error("This model's maximum context length is 8192 tokens.", "messages")),
        (400, openai_error("Incorrect API key provided. Invalid request.")),
        (400, openai_error("Invalid model parameter: unknown model.")),
        (401, openai_error("Unsupported parameter: 'temperature'.", "temperature")),
        (404, openai_error("The model `judge` does not exist.", None, "model_not_found")),
        (413, openai_error("Request too large.")),
    ],
)
def test_another_refusal_is_not_asked_again_in_another_form(status: int, error: Any) -> None:
    assert code_of_one_refusal(status, error) == "llm.no_reply"


def code_of_one_refusal(status: int, error: Any) -> str:
    """Ask a server that refuses, which must not be asked twice, and return the code of the error."""
    answer = Answer(status=status, body=json.dumps(error).encode())
    with scripted_server(one_at_a_time(answer)) as server, pytest.raises(LanguageModelError) as refused:
        ask(f"openai:judge@{server.address}/v1")
    assert len(server.requests) == 1
    return refused.value.code


def test_a_server_that_refuses_everything_is_left_after_a_few_tries() -> None:
    answer = Answer(status=400, body=json.dumps({"message": "Unsupported parameter"}).encode())
    with scripted_server(one_at_a_time(answer)) as server, pytest.raises(LanguageModelError):
        ask(f"openai:judge@{server.address}/v1")
    assert len(server.requests) <= 7


def test_a_form_that_was_taken_is_not_at_fault_later() -> None:
    answers = one_at_a_time(
        completion("{}"), Answer(status=400, body=b'{"message": "Unsupported parameter"}')
    )
    with scripted_server(answers) as server, pytest.raises(LanguageModelError):
        ask(f"openai:judge@{server.address}/v1", times=2)
    assert len(server.requests) == 2


QUOTAS = [
    (
        429,
        openai_error("You exceeded your current quota, please check your plan.", None, "insufficient_quota"),
    ),
    (
        429,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan and billing details."
            }
        },
    ),
    (
        429,
        {"error": {"message": "Your account balance is not enough.", "type": "exceeded_current_quota_error"}},
    ),
    (402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}),
    (400, openai_error("Your credit balance is too low to access the API.")),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}),
    (429, {"error": {"code": "1113", "message": "余额不足"}}),
]


@pytest.mark.parametrize(("status", "error"), QUOTAS)
def test_an_account_without_credit_is_named_and_not_asked_again(status: int, error: Any) -> None:
    assert code_of_one_refusal(status, error) == "llm.quota_exhausted"


@pytest.mark.parametrize(
    "error",
    [
        openai_error(
            "Rate limit reached for judge on tokens per min. Add a payment method at /account/billing."
        ),
        {
            "error": {
                "message": "You exceeded your current quota. Please retry in 32.3s.",
                "status": "RESOURCE_EXHAUSTED",
            }
        },
        {},
    ],
)
def test_too_many_questions_in_a_minute_are_waited_for(error: Any) -> None:
    busy = Answer(status=429, body=json.dumps(error).encode())
    with scripted_server(one_at_a_time(busy, completion("good"))) as server:
        assert ask(f"openai:judge@{server.address}/v1").text == "good"


def thinking(**message: Any) -> dict[str, Any]:
    return {"role": "assistant", **message}


@pytest.mark.parametrize(
    ("message", "text", "has_thought"),
    [
        (thinking(content="", reasoning_content="hm"), "", True),
        (thinking(content=None, reasoning="hm"), "", True),
        (thinking(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "5"}]), "5", True),
        (thinking(content="<think>hm"), "<think>hm", True),
        (thinking(content="5"), "5", False),
    ],
)
def test_thoughts_are_told_from_the_reply(message: dict[str, Any], text: str, has_thought: bool) -> None:
    choice = {"index": 0, "finish_reason": "length", "message": message}
    body = json.dumps({"model": "judge", "choices": [choice]}).encode()
    with scripted_server(one_at_a_time(Answer(body=body))) as server:
        reply = ask(f"openai:judge@{server.address}/v1")
    assert (reply.text, reply.has_thought, reply.is_cut) == (text, has_thought, True)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}, (10, 3)),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 600}, (10, 590)),  # thoughts beside it
        ({"prompt_tokens": 0, "completion_tokens": 3}, (None, 3)),
        ({"prompt_tokens": 10, "completion_tokens": 0}, (10, None)),
    ],
)
def test_counts_that_cannot_be_are_none_and_thoughts_are_counted(
    usage: Any, counted: tuple[Any, Any]
) -> None:
    said = json.loads(completion("5").body) | {"usage": usage}
    with scripted_server(one_at_a_time(Answer(body=json.dumps(said).encode()))) as server:
        reply = ask(f"openai:judge@{server.address}/v1")
    assert (reply.input_tokens, reply.output_tokens) == counted
