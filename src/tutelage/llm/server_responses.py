"""How a server is asked for a reply: within bounds of time and size, and again where a fault may pass by itself."""

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
# What may pass by itself; any other refusal will be the same next time.
PASSING_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 529}
# Faults after which a server cannot have seen the question, so that it costs nothing.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True)
class Reply:
    """The text of a reply, and how many tokens the server counted; None where it did not say.

    `model` is the name that the server gives where it is another than was asked for, or "" where it gives none.
    `is_cut` tells that the reply ended at the limit of tokens, `has_thought` that some of them were thoughts, and
    `left_out` what of the question the server did not take.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    is_cut: bool = False
    has_thought: bool = False
    left_out: tuple[str, ...] = ()


class Meter(Protocol):
    """What is told of every try of a question, before it is sent and after."""

    def begin(self) -> None:
        """Charge a try at its most, or raise, so that it is not sent."""

    def end(self, reply: Reply | None, *, was_sent: bool) -> None:
        """Settle the try that was begun."""


def count_of(value: object) -> int | None:
    """Return what a server counted; a count that is no count is none."""
    return value if type(value) is int and value >= 0 else None


class PassingError(Exception):
    """A fault that may pass by itself, and the pause in seconds that the server asked for."""

    def __init__(self, code: str, reason: str, pause: float | None = None, *, was_sent: bool = True) -> None:
        super().__init__(reason)
        self.code, self.pause, self.was_sent = code, pause, was_sent


class AskOtherwiseError(Exception):
    """A server refused a part of the question, and the next try goes without it at once."""


def patiently(
    once: Callable[[float], Reply], told: str, timeout_seconds: float, meter: Meter | None = None
) -> Reply:
    """Return what `once(seconds left)` returns, trying again after a fault that may pass as long as there is time.

    `told` names the model and its server in messages, and `meter` is told of every try. LanguageModelError where
    the time or the tries are used up.
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
    """Try once; whatever ends it without a reply leaves it charged, unless it was never sent."""
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
    """Return a client that follows no redirect, and takes the way through a proxy to other machines alone."""
    return httpx2.Client(
        trust_env=not is_here,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


def _bound(response: httpx2.Response) -> None:
    """Let a reply be neither endless nor packed: a time-out by itself only bounds the wait for the next byte."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the reply is compressed, which was not requested")
    seconds = response.request.extensions["timeout"]["read"]
    response.stream = _Bounded(response.stream, seconds)  # pyrefly: ignore


class _Bounded(httpx2.SyncByteStream):
    """The body of a reply, until it is too long or has taken too long."""

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
    """Return what a status says: a fault that may pass, or one that stays with its remedy."""
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
    """Return the fault of a connection as one that may pass."""
    never = isinstance(fault, NEVER_SENT) or "proxy" in type(fault).__name__.casefold()
    return PassingError("llm.request_failed", _reason(fault), was_sent=not never)


def _reason(fault: BaseException) -> str:
    """Say in a few words why a connection came to nothing."""
    if isinstance(fault, httpx2.TimeoutException):
        return "it timed out"
    return brief(str(fault)) or type(fault).__name__


def brief(text: str) -> str:
    """Shorten what a server says to a line, without the user's key and others if it repeats them."""
    line = " ".join(without_known_keys(text).split())
    return line if len(line) <= 200 else f"{line[:200]} …"
