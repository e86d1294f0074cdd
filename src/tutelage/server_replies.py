"""How a server is asked for a reply: within bounds of time and size, and again where a fault may pass by itself."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from tutelage.errors import LanguageModelError

KEY_VARIABLE = "OPENAI_API_KEY"

MOST_TRIES = 5
FIRST_PAUSE_SECONDS = 1.0
LARGEST_REPLY_BYTES = 2**20
# What may pass by itself; any other refusal will be the same next time.
PASSING_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 529}


@dataclass(frozen=True)
class Reply:
    """The text of a reply, and how many tokens the server counted; None where it did not say."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None


def counted(text: object, input_tokens: object, output_tokens: object) -> Reply:
    """Return a reply with what a server says of it; a count that is no count is none."""
    tokens = [value if type(value) is int and value >= 0 else None for value in (input_tokens, output_tokens)]
    return Reply(text if isinstance(text, str) else "", *tokens)


class PassingError(Exception):
    """A fault that may pass by itself, and the pause in seconds that the server asked for."""

    def __init__(self, code: str, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.code, self.pause = code, pause


def patiently(once: Callable[[float], Reply], told: str, timeout_seconds: float) -> Reply:
    """Return what `once(seconds left)` returns, trying again after a fault that may pass as long as there is time.

    `told` names the model and its server in messages. LanguageModelError where the time or the tries are used up.
    """
    end = time.monotonic() + timeout_seconds
    for tries in range(1, MOST_TRIES + 1):
        try:
            return once(max(end - time.monotonic(), 0.001))
        except PassingError as fault:
            pause = FIRST_PAUSE_SECONDS * 2 ** (tries - 1) if fault.pause is None else fault.pause
            if tries == MOST_TRIES or time.monotonic() + pause >= end:
                raise LanguageModelError(
                    "llm.no_reply", _gave_up(fault, told, tries, timeout_seconds)
                ) from fault
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _gave_up(fault: PassingError, told: str, tries: int, timeout_seconds: float) -> str:
    asked = f" It asked to wait {fault.pause:,.0f} seconds." if fault.pause else ""
    return (
        f"{told} gave no reply in {tries} {'try' if tries == 1 else 'tries'} within {timeout_seconds:,.0f} seconds:"
        f" {fault}.{asked} See that the server runs there and has the model, then give the same command again."
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
        raise httpx2.DecodingError("the reply is compressed, which was not asked for")
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


def refusal(response: httpx2.Response, told: str, key: str | None = None) -> Exception:
    """Return what a status says: a fault that may pass, or one that stays with its remedy."""
    status = response.status_code
    said = f"it answered {status}, {brief(_error_text(response), key)}"
    if status in PASSING_STATUSES:
        return PassingError("llm.request_failed", said, _retry_after(response))
    if status in (401, 403):
        remedy = f"Put its key into the environment variable {KEY_VARIABLE}; it is sent over https alone."
    elif status == 404:
        remedy = "Check the model's name and the address; of Ollama's, `ollama pull` fetches it."
    else:
        remedy = "Check the address, and whether the server takes such a question."
    return LanguageModelError("llm.no_reply", f"{told} gave no reply: {said}. {remedy}")


def _retry_after(response: httpx2.Response) -> float | None:
    found = re.fullmatch(r"\s*(\d{1,9})\s*", response.headers.get("retry-after", ""), re.ASCII)
    return float(found[1]) if found else None


def _error_text(response: httpx2.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError):
        return response.reason_phrase


def reason(fault: BaseException) -> str:
    """Say in a few words why a connection came to nothing."""
    if isinstance(fault, httpx2.TimeoutException):
        return "the time was up"
    return brief(str(fault)) or type(fault).__name__


def brief(text: str, key: str | None = None) -> str:
    """Shorten what a server says to a line, without the key if it repeats that."""
    line = " ".join((text.replace(key, "…") if key else text).split())
    return line if len(line) <= 200 else f"{line[:200]} …"
