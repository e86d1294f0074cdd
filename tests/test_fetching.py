"""Fetching by https with a known hash."""

import hashlib
import io
import urllib.error
import urllib.request
from email.message import Message
from urllib.response import addinfourl

import pytest

from tutelage.errors import FetchError
from tutelage.fetching import fetch_url, user_cache

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

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", https_open)
    return answers, asked


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
        ((200, {}, b"x" * 101), "larger than the 100 bytes"),
        ((404, {}, b""), "answered 404"),
        (urllib.error.URLError("no network"), "could not be fetched: .*no network"),
        (TimeoutError("timed out"), "could not be fetched: .*timed out"),
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
    with pytest.raises(FetchError, match="not an https address"):
        fetch(tmp_path / "one.json", url)


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.delenv("TUTELAGE_CACHE")
    assert user_cache().name == "tutelage"
