"""Clients that send nonsense, never end what they begin, or leave: the server refuses them and answers the next one."""

import json
import math
import random
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from support.served_run import serving
from support.tiers import slow

from tutelage.serve import server as server_room

SECONDS_TO_ANSWER = 2  # the next good request
MEGABYTE = 2**20
GOOD = {"model": "tuned", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
# No field of a request may be any of these.
ODD_VALUES = [{}, {"a": 1}, [[]], [None], -1.5, -(10**40), 10**400, "", "\ud800", "x" * 5_000, float("nan")]
FIELDS = [*GOOD, "temperature", "top_p", "seed", "stop", "stream", "n", "logprobs", "foo"]
# Apart from these, which ask for nothing.
IDLE = [("stop", ""), ("n", ""), ("n", {}), ("foo", ""), ("foo", {})]
ODD_FIELDS = [(name, value) for name in FIELDS for value in ODD_VALUES if (name, value) not in IDLE]
ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"7",
    b"null",
    b"\xff\xfe",
    b"[" * 20_000,
    b'{"n":' * 5_000,
    b'{"n": 1, "n": 1}',
]
LOCAL = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
CHAT = b"POST /v1/chat/completions" + LOCAL
ODD_HEADS = [
    CHAT.replace(b"localhost", b"evil.example") + b"Content-Length: 2\r\n\r\n{}",
    CHAT + b"Origin: null\r\nContent-Length: 2\r\n\r\n{}",
    CHAT + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
    CHAT + b"Content-Length: -2\r\n\r\n{}",
    CHAT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"GET /health" + LOCAL + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    CHAT + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    b"GET /v1/chat/completions" + LOCAL + b"\r\n",
    b"GET /%00%ff/../etc" + LOCAL + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\x00\x00\r\n\r\n",
]


def malformed(chance):
    """Return the bytes of a request that no server should answer."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.choice(ODD_HEADS)
    if kind == 1:
        return posted(chance.choice(ODD_BODIES))
    if kind == 2:
        return posted(json.dumps(dict([*GOOD.items(), chance.choice(ODD_FIELDS)])).encode())
    whole = json.dumps(GOOD).encode()
    return posted(whole[: chance.randrange(len(whole))] + chance.randbytes(chance.randrange(1, 40)))


def posted(body, *, length=None):
    told = (
        f"Content-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return CHAT + told.encode() + body


def address(url):
    return urlsplit(url).hostname, urlsplit(url).port


def reply_to(url, request):
    """Send raw bytes, and return what comes back until the server closes the connection."""
    with socket.create_connection(address(url), timeout=30) as opened:
        opened.sendall(request)
        return b"".join(iter(lambda: opened.recv(65_536), b""))


def send_malformed(url, times, *, seed):
    """Send so many malformed requests, and count the statuses that came back."""
    chance, statuses = random.Random(seed), Counter()
    for _ in range(times):
        request = malformed(chance)
        reply = reply_to(url, request)
        found = re.match(rb"HTTP/1\.1 (\d+) ", reply)
        assert found, (request[:300], reply[:300])
        status = int(found[1])
        assert 400 <= status < 500, (request[:300], reply[:300])
        if b"application/json" in reply:
            assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["message"]
        statuses[status] += 1
    return statuses


@contextmanager
def never_ending(url, connections):
    """Hold requests open that are begun and not ended: half of them in their head, half in their body."""
    with ExitStack() as held:
        for number in range(connections):
            opened = held.enter_context(socket.create_connection(address(url), timeout=30))
            whole = posted(b'{"model": ', length=500)
            opened.sendall(whole if number % 2 else whole[: 20 + number % 60])
        yield


def leave_streams(url, times):
    """Ask for long streams, and leave each after its first part."""
    body = json.dumps({**GOOD, "max_tokens": 400, "stream": True, "temperature": 1.9, "top_p": 1.0}).encode()
    for _ in range(times):
        with socket.create_connection(address(url), timeout=30) as opened:
            opened.sendall(posted(body))
            begun = opened.recv(65_536)
            assert begun.startswith(b"HTTP/1.1 200"), begun[:300]


def assert_answers(url):
    """The next good request is answered in time, and nothing of what was left is still being answered."""
    answer = httpx2.post(f"{url}/chat/completions", json=GOOD, timeout=SECONDS_TO_ANSWER)
    assert answer.json()["usage"]["completion_tokens"] == 1
    pause = threading.Event()
    for _ in range(1_000):
        if httpx2.get(f"{url.removesuffix('/v1')}/health").json() == {"status": "ok", "unanswered": 0}:
            return
        pause.wait(0.01)
    raise AssertionError("what was left is still being answered")


def test_a_few_hostile_clients_keep_no_answer_from_the_next_one(running):
    statuses = send_malformed(running.url, 150, seed=0)
    assert {400, 403, 404, 415} <= statuses.keys()
    with never_ending(running.url, 20):
        assert_answers(running.url)
    leave_streams(running.url, 12)
    assert_answers(running.url)


def test_a_good_request_among_the_malformed_is_caught(running, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "malformed", lambda _: posted(json.dumps(GOOD).encode()))
    with pytest.raises(AssertionError, match="assert 400 <= 200"):
        send_malformed(running.url, 1, seed=0)


@contextmanager
def server(run, engine):
    """Start `tutelage serve` as a user does, and give its address and its process."""
    words = ["serve", str(run.root), "--port", "0", "--engine", engine]
    command = [sys.executable, "-m", "tutelage", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        told = []
        # The server would wait for a pipe that nobody empties.
        emptied = threading.Thread(target=lambda: told.extend(process.stderr), daemon=True)
        emptied.start()
        try:
            url = next(line.split()[0] for line in process.stdout if "answers with the models" in line)
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield url, process
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(timeout=60)
            emptied.join(timeout=10)
        assert process.returncode == 0
        assert "Traceback" not in "".join(told)


def resident_bytes(process):
    return psutil.Process(process.pid).memory_info().rss


@pytest.mark.parametrize("crowded", [True, slow(False)])
def test_who_connects_and_says_nothing_is_left_and_makes_room(tuned_run, monkeypatch, crowded):
    monkeypatch.setattr(server_room, "SECONDS_WHEN_CROWDED" if crowded else "SECONDS_TO_BEGIN", 0.01)
    if crowded:
        monkeypatch.setattr(server_room, "most_open_files", lambda: 2)
    with serving(tuned_run) as one, ExitStack() as held:
        silent = [
            held.enter_context(socket.create_connection(address(one.url), timeout=30)) for _ in range(3)
        ]
        for opened in silent:
            opened.sendall(b"GET /v1/models HT")
        assert silent[-1].recv(100) == b""
        assert_answers(one.url)


def test_where_files_have_no_limit_no_server_is_crowded(tuned_run, monkeypatch):
    monkeypatch.setattr(server_room, "most_open_files", lambda: math.inf)
    monkeypatch.setattr(server_room, "SECONDS_WHEN_CROWDED", 0)
    with serving(tuned_run) as one, socket.create_connection(address(one.url), timeout=30) as slow:
        slow.sendall(b"GET /health HT")
        assert_answers(one.url)
        slow.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 200")


def test_memory_that_is_kept_is_seen():
    keeping = "for size in (0, 2**26): kept = b'1' * size; print(flush=True); input()"
    command = [sys.executable, "-c", keeping]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        before = resident_bytes(process)
        print(file=process.stdin, flush=True)
        process.stdout.readline()
        assert resident_bytes(process) - before > 32 * MEGABYTE
        process.communicate("\n")


@pytest.mark.nightly
@pytest.mark.parametrize("engine", ["torch", "llama.cpp"])
def test_fifty_thousand_malformed_requests_and_a_thousand_who_leave_cost_nothing(
    request, record_testsuite_property, engine
):
    run = request.getfixturevalue("tuned_run" if engine == "torch" else "exported_run")
    with server(run, engine) as (url, process):
        send_malformed(url, 2_000, seed=1)  # what is made once is made now
        leave_streams(url, 50)
        assert_answers(url)
        before = resident_bytes(process)
        statuses = send_malformed(url, 50_000, seed=2)
        assert_answers(url)
        with never_ending(url, 200):
            assert_answers(url)
        leave_streams(url, 1_000)
        assert_answers(url)
        grown = resident_bytes(process) - before
    record_testsuite_property(f"{engine}: grown by MB", round(grown / MEGABYTE, 1))
    assert {400, 403, 404, 415} <= statuses.keys()
    assert grown < 16 * MEGABYTE  # a KB for each request would be 50 MB
