"""The server through the real openai client: the same answers as evaluation, streamed or whole, and every refusal."""

import asyncio
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest
import torch
from support.served_run import serving
from support.sessions import locate

from tutelage.codes import Message
from tutelage.config.recipe_file import load
from tutelage.data.rows.conversations import ChatMessage, single_exchange_of
from tutelage.errors import ModelError
from tutelage.generation.generate import answer_texts
from tutelage.model.assembly import load_base, load_tuned
from tutelage.run.lines import read_json_lines
from tutelage.serve.app import LARGEST_REQUEST, make_app
from tutelage.serve.generation_requests import GenerationRequest, Piece
from tutelage.serve.torch_engine import TorchEngine

LONGEST = 12
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(running):
    with openai.OpenAI(base_url=running.url, api_key="none", max_retries=0) as opened:
        yield opened


def ask(client, text, *, model="tuned", **options):
    options = {"max_tokens": LONGEST, **options}
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **options
    )


def test_the_models_are_the_tuned_one_and_its_base(client):
    assert [model.id for model in client.models.list()] == ["tuned", "base"]
    assert client.models.retrieve("base").id == "base"


@pytest.mark.parametrize("model", ["base", "tuned"])
def test_answers_are_those_of_the_evaluation(client, tuned_run, model):
    """The rows of the evaluation, asked as a user would: as an instruction with its input below, not rendered."""
    records = read_json_lines(tuned_run.responses(model))
    for record in records:
        instruction = record["prompt"].split("### Instruction:\n")[1].removesuffix("\n\n### Response:\n")
        found = ask(client, instruction, model=model)
        assert found.choices[0].message.content == record["response"]
        assert found.choices[0].finish_reason == ("stop" if record["stopped"] else "length")
        assert found.usage.completion_tokens == record["response_tokens"]


def test_the_arms_are_told_apart(client):
    """Otherwise the test above would hold with one model in both places."""
    assert ask(client, "Name a fruit.").choices[0].message.content != (
        ask(client, "Name a fruit.", model="base").choices[0].message.content
    )


@pytest.mark.parametrize("text", ["Name a fruit.", "说出一种水果。", "naïve 👩‍👩‍👧?"])
def test_a_streamed_answer_is_the_whole_one(client, text):
    whole = ask(client, text)
    parts = list(ask(client, text, stream=True, stream_options={"include_usage": True}))
    assert "".join(part.choices[0].delta.content for part in parts if part.choices) == (
        whole.choices[0].message.content
    )
    reasons = [part.choices[0].finish_reason for part in parts if part.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert set(reasons[:-1]) <= {None}
    assert parts[-1].usage == whole.usage


def test_eight_at_once_answer_as_one_alone(client, running):
    def answer(n):
        text = f"Write the number {n} in words, {'slowly, ' * n}please."
        return ask(client, text, temperature=0.7, seed=n).choices[0].message.content

    alone = [answer(n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, range(8)))
    assert together == alone
    assert len(set(alone)) > 1
    assert running.engine.unanswered == 0


def test_a_seed_gives_one_answer_and_another_seed_another(client):
    def drawn(seed):
        return ask(client, "Tell me a story.", temperature=1.5, seed=seed).choices[0].message.content

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(6)}) > 1


def test_log_probabilities_are_those_of_transformers_over_the_whole_text(client, running, tuned_run):
    found = ask(client, "Name a fruit.", logprobs=True, top_logprobs=3).choices[0].logprobs.content
    loaded = load(tuned_run.recipe, {}, [])
    recipe = loaded.recipe
    plain = load_base(locate(loaded), torch.device("cpu"), torch.float32, fallback_reason="for the test")
    model = load_tuned(plain, tuned_run.model, recipe.tuning)
    prompt = running.served.renderer.prompt_ids(single_exchange_of(0, "Name a fruit.", "", ""))
    ids = list(prompt)
    for told in found:
        with torch.no_grad():
            logits = model.module(torch.tensor([ids]), use_cache=False).logits[0, -1]
        expected = logits.float().log_softmax(-1)
        token = int(expected.argmax())
        assert told.logprob == pytest.approx(expected[token].item(), abs=1e-4)
        assert [other.logprob for other in told.top_logprobs] == pytest.approx(
            expected.topk(3).values.tolist(), abs=1e-4
        )
        assert told.token == running.served.tokenizer.decode([token])
        ids.append(token)


def test_a_stop_string_ends_the_answer_before_it(client):
    whole = ask(client, "Name a fruit.").choices[0].message.content
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    found = ask(client, "Name a fruit.", stop=[stop, "never said"])
    assert found.choices[0].message.content == whole.split(stop)[0]
    assert found.choices[0].finish_reason == "stop"


def test_a_conversation_is_remembered_as_training_would_render_it(client, running):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "Again?"}]},
    ]
    found = client.chat.completions.create(model="tuned", messages=messages, max_completion_tokens=4)
    said = [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Hello."),
        ChatMessage("assistant", "Hi."),
        ChatMessage("user", "Again?"),
    ]
    prompt = running.served.prompt_of_messages(said)
    assert found.usage.prompt_tokens == len(prompt)
    rendered = running.served.tokenizer.decode(prompt)
    assert rendered.startswith("Be brief.")
    assert rendered.endswith("### Response:\nHi.<|im_end|>\n\n### Instruction:\nAgain?\n\n### Response:\n")


def test_a_text_is_gone_on_with_outside_any_prompt_style(client, running):
    found = client.completions.create(
        model="base", prompt="The plural of cactus is", max_tokens=5, logprobs=2
    )
    prompt = running.served.prompt_of_text("The plural of cactus is")
    assert found.usage.prompt_tokens == len(prompt)
    assert "Instruction" not in running.served.tokenizer.decode(prompt)
    [expected] = answer_texts(
        running.served.load_variant["base"](),
        [prompt],
        tokenizer=running.served.tokenizer,
        end_tokens=running.served.end_tokens,
        max_new_tokens=5,
        batch_size=1,
    )
    assert found.choices[0].text == expected
    assert len(found.choices[0].logprobs.token_logprobs) == found.usage.completion_tokens


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"n": 2}, "not_offered", "n"),
        ({"temperature": -1}, "unsupported_request", "temperature"),
        ({"max_tokens": 0}, "unsupported_request", "max_tokens"),
        ({"presence_penalty": 0.5}, "not_offered", "presence_penalty"),
        ({"extra_body": {"grammar": "x"}}, "unknown_field", "grammar"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "not_offered", "tools"),
        ({"top_logprobs": 2}, "top_logprobs_without_logprobs", "top_logprobs"),
        ({"max_tokens": 100_000}, "prompt_too_long", None),
        ({"stop": [1]}, "unsupported_request", "stop"),
        (
            {"stream_options": {"include_usage": True}},
            "stream_options_without_stream",
            "stream_options",
        ),
        ({"max_completion_tokens": 3}, "max_tokens_twice", "max_tokens"),
        ({"temperature": "1"}, "unsupported_request", "temperature"),
        ({"seed": True}, "unsupported_request", "seed"),
        ({"extra_body": {"x" * 500_000: 1}}, "unknown_field", "x" * 80),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, options, code, param):
    with pytest.raises(openai.BadRequestError) as fault:
        ask(client, "Hello.", **options)
    assert (fault.value.code, fault.value.param) == (f"serve.{code}", param)


def test_a_prompt_that_is_too_long_is_refused_with_its_numbers(client, running):
    with pytest.raises(openai.BadRequestError) as fault:
        ask(client, "word " * 600)
    assert f"of the context of {running.served.context:,}" in fault.value.body["message"]
    assert "The prompt has" in fault.value.body["message"]


def test_an_unknown_model_is_named(client):
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        ask(client, "Hello.", model="gpt")


MESSAGES = b'"messages": [{"role": "user", "content": "Hi"}]'


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "serve.malformed_json", None),
        (b"{", "serve.malformed_json", None),
        (b"[1]", "serve.unsupported_request", None),
        (b'"x"', "serve.unsupported_request", None),
        (b"\xff\xfe", "serve.malformed_json", None),
        (b"[" * 5000, "serve.malformed_json", None),
        (b'{"seed": ' + b"9" * 5000 + b"}", "serve.malformed_json", None),
        (b"{}", "serve.unsupported_request", "model"),
        (
            b'{"model": "tuned", "temperature": NaN, ' + MESSAGES + b"}",
            "serve.unsupported_request",
            "temperature",
        ),
        (b'{"model": "base", "model": "tuned", ' + MESSAGES + b"}", "serve.malformed_json", None),
        (b'{"model": "tuned", "\\ud800": 1, ' + MESSAGES + b"}", "serve.unknown_field", "\\ud800"),
        (
            b'{"model": "tuned", "messages": [{"role": "user", "content": "a\\ud800"}]}',
            "data.lone_surrogate",
            None,
        ),
    ],
)
def test_what_is_no_request_gets_a_message_and_not_a_fault_of_the_server(running, body, code, param):
    answer = httpx2.post(f"{running.url}/chat/completions", content=body, headers=JSON)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


def test_half_a_character_in_a_plain_text_is_refused_too(running):
    body = b'{"model": "tuned", "prompt": "\\udfff"}'
    answer = httpx2.post(f"{running.url}/completions", content=body, headers=JSON)
    assert (answer.status_code, "half of a surrogate pair" in answer.text) == (400, True)


def test_a_field_of_null_is_one_that_was_left_out(client):
    left_out = ask(client, "Hello.")
    given = ask(client, "Hello.", n=None, seed=None, top_p=None, stream=None, logprobs=None, temperature=None)
    assert given.choices == left_out.choices


def test_a_top_p_that_is_next_to_nothing_leaves_the_most_probable_token(client):
    drawn = ask(client, "Hello.", temperature=1, top_p=1e-300)
    assert drawn.choices[0].message.content == ask(client, "Hello.").choices[0].message.content


def test_a_request_that_is_too_large_is_refused(running):
    answer = httpx2.post(f"{running.url}/completions", content=b" " * (LARGEST_REQUEST + 1), headers=JSON)
    assert answer.status_code == 400
    assert "larger than 1,048,576 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({"Host": "evil.example"}, 403, "this machine, not 'evil.example'"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "only accepts the host names of this machine"),
        ({"Origin": "http://evil.example"}, 403, "a web page of 'http://evil.example'"),
        ({"Origin": "null"}, 403, "a web page of 'null'"),
        ({"Content-Type": "text/plain"}, 415, "has the content type 'text/plain'"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "Send JSON"),
        ({"Content-Encoding": "gzip"}, 415, "encoding 'gzip' is not supported"),
    ],
)
def test_what_a_page_of_another_could_send_is_answered_by_no_model(
    running, monkeypatch, headers, status, told
):
    asked = []
    monkeypatch.setattr(running.engine, "ask", lambda *words: asked.append(words))
    body = b'{"model": "tuned", "max_tokens": 1, ' + MESSAGES + b"}"
    answer = httpx2.post(f"{running.url}/chat/completions", content=body, headers={**JSON, **headers})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert asked == []


def test_a_browser_that_asks_whether_its_page_may_post_is_not_told_so(running):
    asking = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx2.request("OPTIONS", f"{running.url}/chat/completions", headers=asking)
    assert answer.status_code == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_what_is_not_there_says_what_is(running):
    for answer in (httpx2.get(f"{running.url}/nothing"), httpx2.get(f"{running.url}/completions")):
        assert answer.status_code == 404
        assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_who_leaves_before_the_request_is_sent_is_no_fault_of_the_server(running):
    """A fault would come out here, and with its traceback on the terminal of the server."""
    app = make_app(running.engine, running.served, host="127.0.0.1", key=None)
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": headers}
    coming = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(coming)

    async def send(message):
        sent.append(message)

    asyncio.run(app({**scope, "query_string": b"", "root_path": ""}, receive, send))
    assert sent == []


def test_who_leaves_a_stream_early_makes_room(client, running):
    stream = ask(
        client, "Hello.", stream=True, max_tokens=400, extra_body={"stop": "\ufffe"}, temperature=1.9
    )
    next(iter(stream))
    stream.close()
    until(lambda: running.engine.unanswered == 0)


def until(holds):
    """Wait for something that another thread brings about; the test's own time limit ends it where it never does."""
    pause = threading.Event()
    for _ in range(2000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came about")


def test_a_model_that_fails_is_told_to_who_asked_and_others_are_answered(running):
    def cannot():
        raise RuntimeError("no such weights")

    served = running.served
    variants = {"tuned": served.load_variant["tuned"], "base": cannot}
    engine = TorchEngine(variants, served.tokenizer, end_tokens=served.end_tokens, at_once=2)
    try:
        failed = Message("serve.engine_failed", "RuntimeError: no such weights")
        engine.load("tuned")
        batch = engine._batches["tuned", False]
        step, batch.step = batch.step, cannot
        assert last_piece(engine, served).fault == failed
        batch.step = step
        assert last_piece(engine, served, variant="base").fault == failed
        assert last_piece(engine, served).finish_reason == "length"
    finally:
        engine.close()


def test_models_are_opened_by_the_thread_that_answers_and_what_is_wrong_by_who_asked_for_them(running):
    """A second thread that works with torch would halve the speed of both, on as many cores as there are threads."""
    opened_in = []

    def opened():
        opened_in.append(threading.current_thread().name)
        return running.served.load_variant["tuned"]()

    def cannot():
        raise ModelError("model.not_found", "no such weights")

    served = running.served
    variants = {"tuned": opened, "base": cannot}
    engine = TorchEngine(variants, served.tokenizer, end_tokens=served.end_tokens, at_once=2)
    try:
        with pytest.raises(ModelError, match="no such weights"):
            engine.load("base")
        engine.load("tuned")
        engine.load("tuned")
        assert last_piece(engine, served).finish_reason == "length"
    finally:
        engine.close()
    assert opened_in == ["engine"]


def last_piece(engine, served, *, variant="tuned") -> Piece:
    found, is_over = [], threading.Event()

    def tell(piece):
        found.append(piece)
        if piece.finish_reason:
            is_over.set()

    prompt = served.prompt_of_text("one two")
    engine.ask(GenerationRequest(variant, prompt, 3), tell)
    assert is_over.wait(30)
    return found[-1]


def test_a_key_is_asked_for_where_there_is_one(tuned_run):
    with serving(tuned_run, key="secret") as one:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx2.get(f"{one.url}/models", headers=headers).status_code == 401
        assert httpx2.get(f"{one.url}/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_the_events_of_a_stream_are_what_the_interface_says(running):
    body = {
        "model": "tuned",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 3,
        "stream": True,
    }
    lines = httpx2.post(f"{running.url}/chat/completions", json=body).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    assert all(math.isfinite(part["created"]) for part in parts)
