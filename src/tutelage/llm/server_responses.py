"""Send requests to servers, with limits on time and size, and retry after temporary errors."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from tutelage.errors import LanguageModelError
from tutelage.llm.server_errors import ServerError, is_out_of_credit, read_error
from tutelage.text.credentials import KEY_VARIABLE, without_known_keys

MOST_TRIES = 5
FIRST_PAUSE_SECONDS = 1.0
LARGEST_REPLY_BYTES = 2**20
# Statuses that may be temporary; any other error will recur.
PASSING_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 529}
# Errors before a server received the request, so that it costs nothing.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True)
class Reply:
    """The text of a reply, and the token counts reported by the server (None if unknown).

    `model` is the server's name for the model if it differs from the requested one, or "" if the server gives
    none. `is_cut`: the reply hit the token limit. `has_thought`: it included reasoning. `left_out`: parts of
    the request that the server did not accept.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    is_cut: bool = False
    has_thought: bool = False
    left_out: tuple[str, ...] = ()


class Meter(Protocol):
    """Called before and after every attempt of a request."""

    def begin(self) -> None:
        """Charge the maximum cost of an attempt, or raise to prevent it."""

    def end(self, reply: Reply | None, *, was_sent: bool) -> None:
        """Settle the attempt."""


def count_of(value: object) -> int | None:
    """Return a token count, or None if the value is not one."""
    return value if type(value) is int and value >= 0 else None


class PassingError(Exception):
    """A temporary error, with the pause in seconds that the server asked for."""

    def __init__(self, code: str, reason: str, pause: float | None = None, *, was_sent: bool = True) -> None:
        super().__init__(reason)
        self.code, self.pause, self.was_sent = code, pause, was_sent


class AskOtherwiseError(Exception):
    """Raised if a server rejects a part of a request; the next attempt, without that part, follows at once."""


def patiently(
    once: Callable[[float], Reply], told: str, timeout_seconds: float, meter: Meter | None = None
) -> Reply:
    """Return what `once(seconds left)` returns, and retry after temporary errors while there is time.

    `told` names the model and its server in messages, and `meter` is called for every attempt. Raise
    LanguageModelError if the time or the attempts are used up.
    """
    end = time.monotonic() + timeout_seconds
    tries = 0
    while True:
        try:
            return _metered(once, max(end - time.monotonic(), 0.001), meter)
        except AskOtherwiseError:
            continue
        except PassingError as fault:
            tries += 1
            pause = FIRST_PAUSE_SECONDS * 2 ** (tries - 1) if fault.pause is None else fault.pause
            if tries == MOST_TRIES or time.monotonic() + pause >= end:
                raise LanguageModelError(
                    "llm.no_reply", _gave_up(fault, told, tries, timeout_seconds)
                ) from fault
            time.sleep(pause)


def _metered(once: Callable[[float], Reply], seconds: float, meter: Meter | None) -> Reply:
    """Make one attempt; if it fails, it stays charged unless the request was never sent."""
    if meter is None:
        return once(seconds)
    meter.begin()
    reply, was_sent = None, True
    try:
        reply = once(seconds)
        return reply
    except PassingError as fault:
        was_sent = fault.was_sent
        raise
    finally:
        meter.end(reply, was_sent=was_sent)


def _gave_up(fault: PassingError, told: str, tries: int, timeout_seconds: float) -> str:
    asked = f" It asked to wait {fault.pause:,.0f} seconds." if fault.pause else ""
    return (
        f"{told} gave no reply in {tries} {'try' if tries == 1 else 'tries'} within {timeout_seconds:,.0f}"
        f" seconds: {fault}.{asked} Check that the server is running and has the model, then run the same"
        " command again."
    )


def http_client(*, is_here: bool) -> httpx2.Client:
    """Return a client that follows no redirects, and uses a proxy only for remote hosts."""
    return httpx2.Client(
        trust_env=not is_here,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


def _bound(response: httpx2.Response) -> None:
    """Limit the total time of a response; a timeout only limits the wait for the next byte."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the reply is compressed, which was not requested")
    seconds = response.request.extensions["timeout"]["read"]
    response.stream = _Bounded(response.stream, seconds)  # pyrefly: ignore


class _Bounded(httpx2.SyncByteStream):
    """The body of a response, limited in size and time."""

    def __init__(self, body: Any, seconds: float) -> None:
        self._body, self._seconds = body, seconds

    def __iter__(self) -> Iterator[bytes]:
        end, length = time.monotonic() + self._seconds, 0
        for piece in self._body:
            length += len(piece)
            if length > LARGEST_REPLY_BYTES:
                raise httpx2.ReadError(f"the reply is longer than {LARGEST_REPLY_BYTES:,} bytes")
            if time.monotonic() > end:
                raise httpx2.ReadTimeout("the reply did not end in time")
            yield piece

    def close(self) -> None:
        self._body.close()


def refusal(response: httpx2.Response, told: str) -> Exception:
    """Return the exception for an error status: temporary, or permanent with a remedy."""
    status, error = response.status_code, read_error(response.text)
    said = f"it answered {status}, {brief(error.text or response.reason_phrase)}"
    pause = _retry_after(response)
    if is_out_of_credit(status, error, asks_to_wait=pause is not None):
        return LanguageModelError(
            "llm.quota_exhausted",
            f"{told} gave no reply: {said}. Its account has no credit or quota left; add credit there, then"
            " run the same command again.",
        )
    if status in PASSING_STATUSES:
        return PassingError("llm.request_failed", said, pause)
    return LanguageModelError("llm.no_reply", f"{told} gave no reply: {said}. {_remedy(status, error)}")


def _remedy(status: int, error: ServerError) -> str:
    if status in (401, 403):
        return f"Set the environment variable {KEY_VARIABLE} to its key, which is only sent over https."
    if status == 404:
        return "Check the model's name and the address; `ollama pull` downloads a model for Ollama."
    return "Check the address, and whether the server supports such requests."


def _retry_after(response: httpx2.Response) -> float | None:
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*", response.headers.get("retry-after", ""), re.ASCII)
    return float(found[1]) if found else None


def passing(fault: BaseException) -> PassingError:
    """Return a connection error as a temporary error."""
    never = isinstance(fault, NEVER_SENT) or "proxy" in type(fault).__name__.casefold()
    return PassingError("llm.request_failed", _reason(fault), was_sent=not never)


def _reason(fault: BaseException) -> str:
    """Describe briefly why a connection failed."""
    if isinstance(fault, httpx2.TimeoutException):
        return "it timed out"
    return brief(str(fault)) or type(fault).__name__


def brief(text: str) -> str:
    """Shorten a server's message to one line, and redact keys."""
    line = " ".join(without_known_keys(text).split())
    return line if len(line) <= 200 else f"{line[:200]} …"
