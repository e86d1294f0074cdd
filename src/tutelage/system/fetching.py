"""Download files, choose where to keep them, and verify them by hash."""

import hashlib
import ipaddress
import os
import re
import socket
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import platformdirs

from tutelage.errors import FetchError
from tutelage.system.platforms import HOME_VARIABLE
from tutelage.system.storage import file_sha256, write_atomically

TIMEOUT_SECONDS = 60
MAX_REDIRECTS = 3
# Names of parameters in signed URLs.
SECRET_NAME = re.compile(r"token|secret|password|signature|credential|^sig$|api.?key", re.IGNORECASE)
# Address ranges that are public but embed another address, which may be private: NAT64, 6to4, Teredo.
CARRIERS = [ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32")]

# Home of a user without one, as in Debian; nobody, not even root, can create it below a kernel file.
NO_HOME = Path("/proc/version/no-home") if Path("/proc/version").exists() else Path("/nonexistent")


def user_cache() -> Path:
    """Return the cache folder: `TUTELAGE_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("TUTELAGE_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("tutelage")
    except RuntimeError:  # unknown home; whatever needs the cache will report it
        return NO_HOME / ".cache" / "tutelage"


def settle_home() -> None:
    """Set a nonexistent home if none is known; otherwise some libraries fail at import."""
    try:
        is_known = Path.home().is_absolute()
    except RuntimeError:
        is_known = False
    if not is_known:
        os.environ[HOME_VARIABLE] = str(NO_HOME)


def fetch_url(url: str, *, sha256: str, destination: Path, max_bytes: int) -> Path:
    """Download `url` (https only) to `destination`; raise FetchError if that fails or its SHA-256 differs.

    A file that already exists with the right hash is not downloaded again.
    """
    check_url_secrets(url)
    if destination.is_file() and file_sha256(destination) == sha256:
        return destination
    body = _download(url, destination, max_bytes)
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise FetchError(
            "fetch.checksum_mismatch",
            f"{url} returned {len(body)} bytes with SHA-256 {found}, not {sha256}; nothing was kept. A proxy"
            f" may have changed them, or the file was replaced. Put the correct file at {destination}.",
        )
    write_atomically(destination, body)
    return destination


def check_url_secrets(url: str) -> None:
    """Reject a URL that contains a password or a key, without repeating it: the recipe would store it."""
    try:
        parts = urlsplit(url)
        has_secret = "@" in parts.netloc or any(
            SECRET_NAME.search(name) for name, _ in parse_qsl(parts.query, True)
        )
    except ValueError as fault:
        raise FetchError("fetch.malformed_url", f"A URL is malformed: {fault}. Fix it.") from fault
    if has_secret:
        raise FetchError(
            "fetch.secret_in_url",
            "The URL holds a user name, a password or a key, which anyone with the run could read in its"
            " recipe. Download the file and give its path, or use a URL that needs no secret.",
        )


def _download(url: str, destination: Path, max_bytes: int) -> bytes:
    _require_https(url)
    remedy = f"Check the network and the proxy settings, or put the file at {destination} yourself."
    try:
        with _https_opener().open(url, timeout=TIMEOUT_SECONDS) as response:
            body = response.read(max_bytes + 1)
    except urllib.error.HTTPError as fault:
        raise FetchError(
            "fetch.http_status", f"{url} returned {fault.code} {fault.reason}. {remedy}"
        ) from fault
    except (OSError, HTTPException) as fault:
        raise FetchError(
            "fetch.failed", f"{url} could not be downloaded: {getattr(fault, 'reason', fault)}. {remedy}"
        ) from fault
    if len(body) > max_bytes:
        raise FetchError(
            "fetch.too_large",
            f"{url} is larger than the expected {max_bytes} bytes; nothing was kept. {remedy}",
        )
    return body


def _require_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise FetchError(
            "fetch.not_https",
            f"{url} is not an https URL. Use one that begins with https://.",
        )


def _https_opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    # There is no handler for http, so redirects away from https fail.
    for handler in (
        urllib.request.ProxyHandler(),
        _PublicHTTPSHandler(),
        _FewRedirectsHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _FewRedirectsHandler(urllib.request.HTTPRedirectHandler):
    """Follows a limited number of redirects."""

    max_redirections = MAX_REDIRECTS


class _PublicHTTPSHandler(urllib.request.HTTPSHandler):
    """Connects only to public addresses, so that a URL in a recipe cannot reach internal networks."""

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        host = urlsplit(req.full_url).hostname or ""
        if getattr(req, "_tunnel_host", None):
            # The proxy resolves the name; only the local resolution can be checked.
            _check_public_host(host)
            return self.do_open(HTTPSConnection, req)
        return self.do_open(_public_connection, req)


def _public_connection(host: str, **settings: Any) -> HTTPSConnection:
    connection = HTTPSConnection(host, **settings)
    connection._create_connection = _connect_publicly  # type: ignore[attr-defined] # the only hook there is
    return connection


def _connect_publicly(address: tuple[str, int], *settings: Any) -> socket.socket:
    """Connect to the address that was checked, so that a second lookup cannot return another."""
    host, port = address
    return socket.create_connection((public_address(host, port), port), *settings)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine; names other than localhost could resolve differently later."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def public_address(host: str, port: int = 443) -> str:
    """Return the first address of a host; raise FetchError unless all its addresses are public."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not _is_public(address):
            raise FetchError(
                "fetch.private_address",
                f"{host} resolves to {address}, which is not a public address, and Tutelage only downloads"
                " from public addresses. Copy the file here and give its path.",
            )
    return found[0]


def _check_public_host(host: str) -> None:
    try:
        public_address(host)
    except OSError:
        return  # only the proxy can resolve names


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _is_public(str(address.ipv4_mapped))
        if any(address in network for network in CARRIERS):
            return False
    return address.is_global and not address.is_multicast
