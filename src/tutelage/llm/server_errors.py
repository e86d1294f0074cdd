"""Read error responses of servers, in the many formats of different vendors."""

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServerError:
    """The message, code, type and parameter of an error, and the text that a model generated before it failed."""

    text: str = ""
    code: str = ""
    kind: str = ""
    parameter: str = ""
    failed_generation: str | None = None


# Codes and words of OpenAI, Azure, DeepSeek, Moonshot, Zhipu, Alibaba and others.
_QUOTA_CODES = {
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota_error",
    "quota_exceeded",
    "credit_balance_too_low",
    "arrearage",
    "1113",
}
_QUOTA_WORDS = re.compile(
    r"insufficient[ _](?:quota|balance|credit|fund)|(?:balance|credits?)\b[^.]{0,30}(?:insufficient|too low|not enough)"
    r"|exceeded your current quota|out of credits|(?:never|more|not enough) (?:purchased )?credits|billing hard limit"
    r"|arrearage|余额不足|欠费"
)
_ASKS_TO_WAIT = re.compile(r"(?:retry|try again) (?:in|after) [\d.]+|per (?:minute|second)|rate limit")


def read_error(text: str) -> ServerError:
    """Parse the body of an error; HTML pages count as empty."""
    try:
        return error_in(json.loads(text))
    except (ValueError, RecursionError):
        return ServerError("" if text.lstrip().startswith("<") else text.strip()[:1000])


def error_in(body: Any) -> ServerError:
    """Read an error from a decoded body: an object, its `error` field, or a list of one, as Google sends it."""
    if isinstance(body, list):
        body = body[0] if body else {}
    if not isinstance(body, dict):
        return ServerError(body if isinstance(body, str) else "")
    error = body.get("error")
    if isinstance(error, dict):
        body = error
    elif isinstance(error, str) and error:
        body = {**body, "message": error}
    said = [
        _words(body[name]) for name in ("message", "detail", "details", "msg", "errors") if body.get(name)
    ]
    metadata = body.get("metadata")  # from OpenRouter, with the message of the provider behind it
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    failed = body.get("failed_generation")
    return ServerError(
        text=" ".join([*said, _words(raw)] if raw else said),
        code=_words(body.get("code")),
        kind=_words(body.get("type") or body.get("status")),
        parameter=_words(body.get("param")),
        failed_generation=failed if isinstance(failed, str) else None,
    )


def is_out_of_credit(status: int, error: ServerError, *, asks_to_wait: bool) -> bool:
    """Return whether an account has run out of credit, which waiting does not fix, as opposed to a rate limit."""
    names = {error.code.casefold(), error.kind.casefold()}
    said = error.text.casefold()
    if status == 402 or names & _QUOTA_CODES:
        return True
    if "rate_limit_exceeded" in names or asks_to_wait or _ASKS_TO_WAIT.search(said):
        return False
    return status in (400, 403, 429) and bool(_QUOTA_WORDS.search(said))


def _words(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
