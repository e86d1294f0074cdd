"""What clients send without asking for anything is taken; what is not offered is refused in words, by its name."""

import json
import re
from dataclasses import replace

import httpx2
import openai
import pytest
from support.served_run import answering
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage
from tutelage.serve.app import make_app

QUESTION = [{"role": "user", "content": "Name a fruit."}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "fruit", "schema": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWER = {"role": "assistant", "content": "A pear."}

# What a reply is once it is sent back: openai's dump, its parsed and streamed variants, and those of other clients.
REPLIES = [
    {
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "parsed": None,
    },
    {"refusal": "", "annotations": [], "tool_calls": [], "function_call": {}, "name": "assistant"},
    {"reasoning_content": None, "provider_specific_fields": {}, "thinking_blocks": [], "images": []},
    {"content": None, "tool_calls": None},
    {"content": []},
    {"content": [{"type": "text", "text": "A pear.", "annotations": None, "logprobs": []}], "prefix": False},
]
IDLE = [
    {"tools": []},
    {"tools": None, "tool_choice": None, "functions": [], "function_call": "auto"},
    {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
    {"tool_choice": "auto", "parallel_tool_calls": False},
    {"response_format": {"type": "text"}},
    {"response_format": None},
    {"logit_bias": {}},
    {"logit_bias": {"17": 0}},
    {"stop": ""},
    {"stop": []},
    {"stop": None},
    {"stop": ["", ""]},
    {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0},
    {"n": 1.0, "max_tokens": 4.0},
    {"max_tokens": 4, "max_completion_tokens": 4},
    {"logprobs": False, "top_logprobs": 0},
    {"logprobs": None, "top_logprobs": None},
    {"stream_options": None},
    {"stream_options": {}},
    {"stream_options": {"include_usage": False, "include_obfuscation": False}},
    {"user": "u", "safety_identifier": "s", "prompt_cache_key": "p", "metadata": {"a": "b"}},
    {"store": False, "service_tier": "auto", "verbosity": "medium"},
    {"reasoning_effort": None, "modalities": ["text"], "audio": None, "prediction": None},
    {"top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "echo": False, "best_of": 1, "suffix": ""},
    {"chat_template_kwargs": {}, "guided_regex": "", "plugins": [], "think": None},
]
NOT_OFFERED = [
    ({"tools": [TOOL]}, "tools"),
    ({"tools": [TOOL], "tool_choice": "none"}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": SCHEMA}, "response_format"),
    ({"logit_bias": {"17": 5}}, "logit_bias"),
    ({"n": 2}, "n"),
    ({"n": True}, "n"),
    ({"frequency_penalty": 0.1}, "frequency_penalty"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"verbosity": "high"}, "verbosity"),
    ({"store": True}, "store"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"top_k": 40}, "top_k"),
    ({"repetition_penalty": 1.1}, "repetition_penalty"),
    ({"echo": True}, "echo"),
    ({"messages": [{"role": "user", "content": [PICTURE]}]}, "messages.0.content.0"),
    ({"messages": [QUESTION[0], {**ANSWER, "tool_calls": [CALL]}]}, "messages.1.tool_calls"),
    ({"messages": [{**ANSWER, "refusal": "No."}, *QUESTION]}, "messages.0.refusal"),
]
WRONG = [
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": [None]}, "messages.0"),
    ({"messages": ["Hi"]}, "messages.0"),
    ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
    ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages.0.role"),
    ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages.0.content.0.text"),
    ({"model": 7}, "model"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"seed": 0.5}, "seed"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"stop": "x" * 201}, "stop"),
    ({"stop": {}}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options"),
    ({"logprobs": 2}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
]
# Words of a validation library, of Python and of its types.
NOT_FOR_PEOPLE = re.compile(
    r"pydantic|Input should|Extra inputs|type=|\b(NoneType|int|str|dict|bool|float|None|True|False|list\[)\b"
)


@pytest.fixture
def client(running):
    with openai.OpenAI(base_url=running.url, api_key="none", max_retries=0) as opened:
        yield opened


def post(url, body, *, path="chat/completions"):
    answer = httpx2.post(f"{url}/{path}", json=body, timeout=60)
    return answer.status_code, answer.json()


def asked(**fields):
    return {"model": "tuned", "messages": QUESTION, "max_tokens": 4, **fields}


def content(reply):
    return reply["choices"][0]["message"]["content"]


def test_a_reply_can_be_sent_back_as_the_client_dumps_it(client):
    reply = client.chat.completions.create(**asked()).choices[0].message
    with client.chat.completions.stream(**asked(stop=reply.content[-1])) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for said, dumped in (
        (reply.content, reply.model_dump()),
        (reply.content, reply.model_dump(exclude_none=True)),
        (reply.content, reply.to_dict()),
        (reply.content, reply),
        (streamed.content, streamed.model_dump()),
    ):
        again = [*QUESTION, dumped, {"role": "user", "content": "Another one."}]
        plain = [*QUESTION, {"role": "assistant", "content": said}, again[-1]]
        answer = client.chat.completions.create(**asked(messages=again))
        assert answer.usage == client.chat.completions.create(**asked(messages=plain)).usage
        assert answer.choices[0].message.role == "assistant"


@pytest.mark.parametrize("extra", REPLIES)
def test_what_a_reply_brings_beside_its_text_changes_nothing(running, extra):
    messages = [*QUESTION, {**ANSWER, **extra}, *QUESTION]
    plain = [*QUESTION, {**ANSWER, "content": "A pear." if extra.get("content", " ") else ""}, *QUESTION]
    status, answer = post(running.url, asked(messages=messages))
    assert status == 200, answer
    assert answer["usage"] == post(running.url, asked(messages=plain))[1]["usage"]


@pytest.mark.parametrize("fields", IDLE, ids=",".join)
def test_a_field_that_asks_for_nothing_changes_nothing(running, fields):
    status, answer = post(running.url, asked(**fields))
    assert status == 200, answer
    assert content(answer) == content(post(running.url, asked())[1])


@pytest.mark.parametrize("fields", [{"logprobs": False}, {"logit_bias": {}, "suffix": None, "best_of": 1}])
def test_so_it_is_where_a_text_is_gone_on_with(running, fields):
    body = {"model": "tuned", "prompt": ["The plural of"], "max_tokens": 3, "echo": False, **fields}
    status, answer = post(running.url, body, path="completions")
    assert (status, answer["choices"][0]["logprobs"]) == (200, None)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        *((fields, "serve.not_offered", param) for fields, param in NOT_OFFERED),
        *((fields, "serve.unsupported_request", param) for fields, param in WRONG),
        ({"mirostat": 2}, "serve.unknown_field", "mirostat"),
        ({"messages": [{**QUESTION[0], "cache_control": {"a": 1}}]}, "serve.unknown_field", None),
    ],
)
def test_what_is_not_offered_is_refused_by_its_name_in_words(running, fields, code, param):
    status, answer = post(running.url, asked(**fields))
    error = answer["error"]
    assert (status, error["code"], error["type"]) == (400, code, "invalid_request_error")
    assert error["param"] == (param or "messages.0.cache_control")
    assert error["param"] in error["message"]
    assert not NOT_FOR_PEOPLE.search(error["message"])
    if code != "serve.unsupported_request":
        assert "leave it out" in error["message"]


def test_words_of_a_validation_library_are_caught():
    told = "tools: Input should be None; messages.list[function-after[...]]: Field required [type=missing]"
    assert NOT_FOR_PEOPLE.search(told)


def test_all_that_is_wrong_is_told_at_once_up_to_five(running):
    wrong = {"n": 2, "tools": [TOOL], "seed": -1, "temperature": "1", "foo": 1, "bar": 1, "baz": 1}
    message = post(running.url, asked(**wrong))[1]["error"]["message"]
    assert [name for name in wrong if f"{name}: " in message] == ["n", "tools", "seed", "temperature", "foo"]
    assert "2 more" in message


@pytest.mark.parametrize(
    ("role", "expected"), [("developer", "system"), ("system", "system"), ("function", "tool")]
)
def test_names_of_roles_that_others_use_are_known(running, role, expected):
    messages = [{"role": role, "content": "Be brief.", "name": "x"}, *QUESTION]
    status, answer = post(running.url, asked(messages=messages))
    prompt = running.served.prompt_of_messages(
        [ChatMessage(expected, "Be brief."), ChatMessage("user", "Name a fruit.")]
    )
    assert (status, answer["usage"]["prompt_tokens"]) == (200, len(prompt))


def test_parts_of_a_text_are_joined_as_training_joins_them(running):
    parts = [{"type": "text", "text": "Name"}, " a ", {"type": "text", "text": "fruit.", "x": None}]
    status, answer = post(running.url, asked(messages=[{"role": "user", "content": parts}]))
    assert (status, content(answer)) == (200, content(post(running.url, asked())[1]))


def test_a_conversation_that_the_template_does_not_take_is_refused_and_no_fault_of_the_server(running):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    served = replace(running.served, renderer=make_renderer(tokenizer, "chat"), tokenizer=tokenizer)
    with answering(make_app(running.engine, served, host="127.0.0.1", key=None)) as url:
        assert post(url, asked())[0] == 200
        status, answer = post(url, asked(messages=[{"role": "system", "content": "Be brief."}, *QUESTION]))
    assert (status, answer["error"]["code"]) == (400, "template.render_failed")


def test_a_fault_of_the_server_is_told_in_the_shape_of_the_interface(running):
    broken = replace(running.served, renderer=None)
    with answering(make_app(running.engine, broken, host="127.0.0.1", key=None)) as url:
        status, answer = post(url, asked())
    assert (status, answer["error"]["code"]) == (500, "internal.unexpected")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("/v1/responses", "/v1/chat/completions"),
        ("/v1/messages", "/v1/chat/completions"),
        ("/v1/embeddings", "/v1/chat/completions"),
        ("/api/chat", "ends with /v1"),
        ("/chat/completions", "end with /v1"),
    ],
)
def test_other_interfaces_are_refused_with_what_to_ask_instead(running, path, remedy):
    answer = httpx2.post(running.url.removesuffix("/v1") + path, json={"model": "tuned"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "serve.unknown_path")
    assert remedy in error["message"]


def test_the_responses_interface_of_the_client_is_refused_in_words(client):
    with pytest.raises(openai.NotFoundError) as fault:
        client.responses.create(model="tuned", input="Hi")
    assert fault.value.code == "serve.unknown_path"
    assert "chat.completions" in fault.value.body["message"]


def parts_of(url, **fields):
    answer = httpx2.post(f"{url}/chat/completions", json=asked(stream=True, **fields))
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert events[-1] == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events[:-1]]


def test_the_role_stands_in_the_first_part_alone_and_the_end_in_the_last(running):
    parts = parts_of(running.url)
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert [delta.get("role") for delta in deltas] == ["assistant", *[None] * (len(parts) - 1)]
    reasons = [part["choices"][0]["finish_reason"] for part in parts]
    assert reasons == [*[None] * (len(parts) - 1), "length"]
    assert all("usage" not in part for part in parts)


def test_the_tokens_are_counted_in_a_last_part_without_a_choice(running):
    *parts, last = parts_of(running.url, stream_options={"include_usage": True})
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 4)
    assert [part["usage"] for part in parts] == [None] * len(parts)


def test_the_parts_that_the_client_adds_up_are_the_whole_reply(client):
    stop = client.chat.completions.create(**asked()).choices[0].message.content[-1]
    whole = client.chat.completions.create(**asked(stop=stop))
    options = {"stop": stop, "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**asked(**options)) as stream:
        found = stream.get_final_completion()
    assert found.choices[0].message.role == "assistant"
    assert found.choices[0].message.content == whole.choices[0].message.content
    assert found.choices[0].finish_reason == whole.choices[0].finish_reason
    assert found.usage == whole.usage


def test_a_streamed_text_is_the_whole_one_where_it_is_gone_on_with(client):
    asking = {"model": "tuned", "prompt": "The plural of", "max_tokens": 5}
    parts = client.completions.create(**asking, stream=True)
    whole = client.completions.create(**asking).choices[0].text
    assert "".join(part.choices[0].text for part in parts) == whole
