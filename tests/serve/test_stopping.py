"""A server that is stopped lets answers finish for a while, and ends the others in words and not by a cut."""

import json
import signal
import threading
from types import SimpleNamespace

import httpx2
import openai
import pytest

from tutelage.codes import Message
from tutelage.errors import Interrupted
from tutelage.serve import server as server_room
from tutelage.serve.app import make_app
from tutelage.serve.generation_requests import Piece
from tutelage.serve.server import listening, serve_until_stopped
from tutelage.serve.under_way import UnderWay
from tutelage.system.interruption import INTERRUPTION

QUESTION = [{"role": "user", "content": "Hi"}]


class Endless:
    """Says one word to each who asks, and no more until it is told to."""

    def __init__(self):
        self.tells = []
        self.left = 0
        self.asked = threading.Semaphore(0)

    @property
    def unanswered(self):
        return len(self.tells) - self.left

    def ask(self, question, tell):
        self.tells.append(tell)
        tell(Piece("one", 1))
        self.asked.release()
        return self._leave

    def _leave(self):
        self.left += 1

    def close(self):
        pass


SERVED = SimpleNamespace(
    tokenizer=None,
    prompt_of_messages=lambda turns: (1,),
    prompt_of_text=lambda text: (1,),
    tokens_left_after=lambda prompt, wanted: 9,
)


def stopped(clients, *, at_once=lambda engine: None):
    """Serve until all clients have asked, stop, and return what each of them got, with the engine."""
    engine, found = Endless(), {}
    app = make_app(engine, SERVED, host="127.0.0.1", key=None)
    with listening("127.0.0.1", 0) as opened:
        url = f"http://127.0.0.1:{opened.getsockname()[1]}/v1"
        threads = [
            threading.Thread(target=lambda ask=ask, n=n: found.update({n: ask(url)}))
            for n, ask in enumerate(clients)
        ]

        def interrupt():
            for thread in threads:
                thread.start()
            all_asked = all(engine.asked.acquire(timeout=30) for _ in threads)
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(
                    threading.main_thread().ident, signal.SIGTERM
                )  # in the midst of its waiting
            else:
                signal.raise_signal(signal.SIGTERM)
            at_once(engine)
            assert all_asked

        interrupting = threading.Thread(target=interrupt)
        with INTERRUPTION.listening(), pytest.raises(Interrupted):
            serve_until_stopped(app, opened, interrupting.start)
        for thread in (interrupting, *threads):
            thread.join(30)
    return [found[n] for n in range(len(clients))], engine


def events(url, *, path="chat/completions", **fields):
    body = {"model": "tuned", "stream": True, **fields}
    answer = httpx2.post(f"{url}/{path}", json=body, timeout=30)
    *said, end = [line.removeprefix("data: ") for line in answer.text.strip().split("\n\n")]
    return [json.loads(one) for one in said], end


def streamed_chat(url):
    return events(url, messages=QUESTION)


def streamed_text(url):
    return events(url, path="completions", prompt="Hi")


def whole(url):
    answer = httpx2.post(f"{url}/chat/completions", json={"model": "base", "messages": QUESTION}, timeout=30)
    return answer.status_code, answer.json()["error"]["code"]


def through_the_client(url):
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        parts = []
        try:
            for part in client.chat.completions.create(model="tuned", messages=QUESTION, stream=True):
                parts.append(part.choices[0].delta.content)
        except openai.APIConnectionError as fault:
            return parts, f"cut: {fault}"
        except openai.APIError as fault:
            return parts, fault.code
    return parts, None


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(server_room, "SECONDS_TO_FINISH", 0.3)


def test_a_stream_that_does_not_end_in_time_ends_with_an_error_and_not_with_a_cut(impatient):
    asking = [streamed_chat, streamed_text, whole, through_the_client]
    [chat, text, of_whole, of_client], engine = stopped(asking)
    for said, end in (chat, text):
        assert end == "[DONE]"
        assert said[-1]["error"]["code"] == "serve.stopped"
        assert said[-1]["error"]["type"] == "overloaded_error"
        assert len(said) == 2
    assert of_whole == (503, "serve.stopped")
    assert of_client == (["one"], "serve.stopped")
    assert engine.unanswered == 0


def test_without_the_error_the_client_is_cut_off(impatient, monkeypatch):
    monkeypatch.setattr(UnderWay, "end", lambda self, reason: None)
    monkeypatch.setattr(server_room, "SECONDS_TO_SAY_SO", 0.1)
    [(parts, end)], _ = stopped([through_the_client])
    assert parts == ["one"]
    assert end.startswith("cut: ")


def test_an_answer_that_ends_in_time_is_whole():
    def finish(engine):
        for tell in engine.tells:
            tell(Piece(" two", 2, None, "stop"))

    [chat, of_client], _ = stopped([streamed_chat, through_the_client], at_once=finish)
    assert chat[0][-1]["choices"][0]["finish_reason"] == "stop"
    assert of_client == (["one", " two"], None)


def test_who_asks_after_the_end_is_told_so_at_once():
    engine, found = Endless(), []
    under_way = UnderWay(engine)
    reason = Message("serve.stopped", "Over.")
    under_way.end(reason)
    under_way.ask(None, found.append)()
    assert found == [Piece("", 0, None, "error", reason)]
    assert engine.tells == []


def test_who_left_before_the_end_is_told_nothing():
    engine, found = Endless(), []
    under_way = UnderWay(engine)
    under_way.ask(None, found.append)()
    under_way.end(Message("serve.stopped", "Over."))
    assert found == [Piece("one", 1)]
