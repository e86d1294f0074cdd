"""Fetching by https with a known hash."""

import hashlib
import io
import socket
import urllib.error
import urllib.request
from email.message import Message
from urllib.response import addinfourl

import pytest

from tutelage.errors import FetchError
from tutelage.system import fetching
from tutelage.system.fetching import fetch_url, user_cache

BODY = b"one file"
SHA256 = hashlib.sha256(BODY).hexdigest()
URL = "https://files.example/one.json"


@pytest.fixture
def server(monkeypatch):
    """Answer https requests with what stands in `answers` for the address; `asked` lists the addresses."""
    answers, asked = {}, []

    def https_open(self, request):
        asked.append(request.full_url)
        answer = answers[request.full_url]
        if isinstance(answer, Exception):
            raise answer
        code, headers, body = answer
        message = Message()
        for name, value in headers.items():
            message[name] = value
        response = addinfourl(io.BytesIO(body), message, request.full_url, code)
        response.msg = "status"  # pyright: ignore[reportAttributeAccessIssue]
        return response

    monkeypatch.setattr(fetching._PublicHTTPSHandler, "https_open", https_open)
    return answers, asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "10.0.0.8",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.8",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_an_address_that_is_not_public_is_refused(monkeypatch, tmp_path, address):
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(socket, "create_connection", _no_connection)
    resolve_to(monkeypatch, "93.184.216.34", address)  # one of two is enough
    with pytest.raises(FetchError, match="is not a public address"):
        fetch(tmp_path / "file")


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]"],
)
def test_a_loopback_address_is_refused_however_it_is_written(monkeypatch, tmp_path, host):
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(socket, "create_connection", _no_connection)
    with pytest.raises(FetchError, match="is not a public address"):
        fetch(tmp_path / "file", url=f"https://{host}/rows.json")


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch, tmp_path):
    monkeypatch.delenv("https_proxy", raising=False)
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])  # a name whose second answer is another
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **settings: _entries(next(answers)))
    connected = []

    def connect(address, *settings):
        connected.append(address)
        raise OSError("no network in a test")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(FetchError, match="no network in a test"):
        fetch(tmp_path / "file")
    assert connected == [("93.184.216.34", 443)]


def test_a_private_address_is_refused_behind_a_proxy_too(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    resolve_to(monkeypatch, "10.0.0.8")
    with pytest.raises(FetchError, match="is not a public address"):
        fetch(tmp_path / "file")


def test_the_fourth_redirect_is_not_followed(server, tmp_path):
    answers, asked = server
    for number in range(5):
        answers[f"{URL}{number or ''}"] = (302, {"Location": f"{URL}{number + 1}"}, b"")
    with pytest.raises(FetchError, match="returned 302"):
        fetch(tmp_path / "file")
    assert len(asked) == 4


def resolve_to(monkeypatch, *addresses):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **settings: _entries(addresses))


def _entries(addresses):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


def _no_connection(*words):
    raise AssertionError("nothing may be connected to")


def fetch(destination, url=URL, max_bytes=100):
    return fetch_url(url, sha256=SHA256, destination=destination, max_bytes=max_bytes)


def test_a_file_is_fetched_once(server, tmp_path):
    answers, asked = server
    answers[URL] = (200, {}, BODY)
    destination = tmp_path / "new" / "one.json"
    assert fetch(destination).read_bytes() == BODY
    assert fetch(destination) == destination
    assert asked == [URL]
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"another file"), "SHA-256"),
        ((200, {}, b"x" * 101), "larger than the expected 100 bytes"),
        ((404, {}, b""), "returned 404"),
        (urllib.error.URLError("no network"), "could not be downloaded: .*no network"),
        (TimeoutError("timed out"), "could not be downloaded: .*timed out"),
    ],
)
def test_a_fault_names_the_address_and_leaves_no_file(server, tmp_path, answer, message):
    answers, _ = server
    answers[URL] = answer
    with pytest.raises(FetchError, match=message) as told:
        fetch(tmp_path / "one.json")
    assert URL in str(told.value)
    assert str(tmp_path / "one.json") in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed_to_https_only(server, tmp_path):
    answers, asked = server
    elsewhere = "https://mirror.example/one.json"
    answers |= {URL: (302, {"Location": elsewhere}, b""), elsewhere: (200, {}, BODY)}
    assert fetch(tmp_path / "one.json").read_bytes() == BODY
    answers[URL] = (302, {"Location": "http://mirror.example/one.json"}, b"")
    with pytest.raises(FetchError, match="unknown url type: http"):
        fetch(tmp_path / "two.json")
    assert asked == [URL, elsewhere, URL]


@pytest.mark.parametrize(
    "url", ["http://files.example/x", "file:///etc/passwd", "ftp://files.example/x", "x"]
)
def test_other_schemes_are_refused(tmp_path, url):
    with pytest.raises(FetchError, match="not an https URL"):
        fetch(tmp_path / "one.json", url)


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.delenv("TUTELAGE_CACHE")
    assert user_cache().name == "tutelage"
