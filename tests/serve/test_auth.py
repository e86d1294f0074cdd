"""Who is answered: by host name, origin, key and the kind of what is sent."""

import pytest

from tutelage.serve import auth
from tutelage.serve.auth import why_refused
from tutelage.system.fetching import is_loopback

POSTED = {"host": "127.0.0.1:8000", "content-type": "application/json"}


def status(headers, *, method="POST", path="/v1/chat/completions", host="127.0.0.1", key=None):
    refused = why_refused(method, path, headers, host=host, key=key)
    return refused and refused[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "LOCALHOST"])
def test_the_loopback_is_known_by_all_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "2130706433", "localhost.evil.example"])
def test_what_others_reach_is_no_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost:8000", "[::1]:8000", "[::1]", "LocalHost:1"])
def test_the_names_of_this_machine_are_answered(named):
    assert status({**POSTED, "host": named}) is None


@pytest.mark.parametrize(
    "named",
    ["", "evil", "localhost.evil", "evil@127.0.0.1", "127.0.0.1:8000.evil", "localhost:x", "127.0.0.3"],
)
def test_other_names_are_not_answered_on_the_loopback(named):
    assert status({**POSTED, "host": named}) == 403
    assert status({**POSTED, "host": named}, host="192.0.2.1", key="k") == 401


def test_an_address_of_the_loopback_is_answered_under_itself():
    assert status({**POSTED, "host": "127.0.0.3:80"}, host="127.0.0.3") is None


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8000", None),
        ("http://127.0.0.1:3000", 403),
        ("null", 403),
        ("", 403),
        ("http://evil", 403),
    ],
)
def test_of_pages_only_its_own_are_answered(origin, expected):
    assert status({**POSTED, "origin": origin}) == expected
    assert status({**POSTED, "origin": origin}, method="GET") == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("application/json", None), ("Application/JSON; charset=utf-8", None), ("text/json", 415), ("", 415)],
)
def test_only_json_is_taken(kind, expected):
    assert status({**POSTED, "content-type": kind}) == expected
    assert status({**POSTED, "content-type": kind}, method="GET") is None


@pytest.mark.parametrize(
    "shown", ["", "secret", "Bearer ", "Bearer secre", "Bearer secrett", "Bearer secret ", "Bearer s\xe9cret"]
)
def test_a_wrong_key_is_refused_and_health_needs_none(shown):
    headers = {**POSTED, "authorization": shown}
    assert status(headers, key="secret") == 401
    assert status(headers, method="GET", path="/health", key="secret") is None


def test_keys_are_compared_in_a_time_that_does_not_depend_on_them(monkeypatch):
    """A comparison that stops at the first wrong byte would tell who asks often how many were right."""
    compared = []

    def told(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(auth.hmac, "compare_digest", told)
    assert status({**POSTED, "authorization": "Bearer secret"}, key="secret") is None
    assert compared == [(b"Bearer secret", b"Bearer secret")]
