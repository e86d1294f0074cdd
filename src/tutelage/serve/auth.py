"""Decide who may use the server: holders of the key, under a name of this machine, and no foreign web pages."""

import hmac
import re
from collections.abc import Mapping

from tutelage.codes import Message
from tutelage.system.fetching import is_loopback

OPEN_TO_ALL = "/health"
JSON = "application/json"  # a browser page cannot post this to another origin without asking first

Refused = tuple[int, Message]


def what_no_header_carries(key: str) -> str | None:
    """Return what makes a key unusable in a header, without revealing it; None if it is usable."""
    if not (key.isascii() and key.isprintable()):
        return "contains characters other than printable ASCII"
    return "begins or ends with a space" if key != key.strip() else None


def why_refused(
    method: str, path: str, headers: Mapping[str, str], *, host: str, key: str | None
) -> Refused | None:
    """Return the status and message for a rejected request, or None if it is allowed.

    A server on the loopback interface only accepts its own names; otherwise a browser page could reach it under
    another.
    """
    return (
        _under_another_name(headers.get("host", ""), host)
        or _from_another_page(headers.get("origin"), headers.get("host", ""))
        or (None if path == OPEN_TO_ALL else _without_the_key(headers.get("authorization", ""), key))
        or (_not_as_json(headers) if method == "POST" else None)
    )


def _under_another_name(named: str, host: str) -> Refused | None:
    own = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host.lower()}
    if not is_loopback(host) or re.sub(r":\d+$", "", named.lower()) in own:
        return None
    told = f"This server only accepts the host names of this machine, not {named[:80]!r}."
    return 403, Message("serve.foreign_host", told)


def _from_another_page(origin: str | None, named: str) -> Refused | None:
    if origin is None or origin.lower() in (f"http://{named}".lower(), f"https://{named}".lower()):
        return None
    told = (
        f"The request came from a web page of {origin[:80]!r}; requests from other origins are not allowed."
    )
    return 403, Message("serve.foreign_origin", told)


def _without_the_key(shown: str, key: str | None) -> Refused | None:
    # Headers are decoded as Latin-1, and comparing non-ASCII strings would fail.
    if key is None or hmac.compare_digest(shown.encode("latin-1"), f"Bearer {key}".encode()):
        return None
    return 401, Message(
        "serve.unauthorized", "The key is missing or wrong. Send it as `Authorization: Bearer KEY`."
    )


def _not_as_json(headers: Mapping[str, str]) -> Refused | None:
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind.lower() != JSON:
        told = f"The request has the content type {kind[:80]!r}. Send JSON, with `Content-Type: {JSON}`."
        return 415, Message("serve.not_json", told)
    packed = headers.get("content-encoding", "identity")
    if packed.lower() != "identity":
        told = (
            f"The content encoding {packed[:80]!r} is not supported. Send the request without a"
            " Content-Encoding."
        )
        return 415, Message("serve.compressed_request", told)
    return None
