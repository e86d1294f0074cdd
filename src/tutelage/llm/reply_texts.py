"""Remove reasoning and code fences around the text of a reply.

Models often wrap their JSON in one of each, even if told not to. Removing exactly these does not change what
the reply is; anything else around it still makes it unreadable.
"""

import re

_TAGS = "think|thinking|thought|thoughts|reasoning|reflection"
_OPENING = re.compile(rf"\s*<({_TAGS})>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({_TAGS})>", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+.-]{0,20}")


def unwrapped(reply: str) -> str:
    """Return a reply without a leading block of reasoning and a code fence around it."""
    return _without_fence(without_thoughts(reply))


def without_thoughts(reply: str) -> str:
    """Return a reply without its leading block of reasoning.

    Some chat templates open the block themselves, so that only its end is in the reply. An unclosed block is
    the whole reply, which then has no text.
    """
    opening, closing = _OPENING.match(reply), _CLOSING.search(reply)
    if opening and not closing:
        return ""
    if closing and (opening or not reply.lstrip().startswith(("{", "[", "`", "~"))):
        if opening and opening[1].lower() != closing[1].lower():
            return reply
        return reply[closing.end() :]
    return reply


def _without_fence(reply: str) -> str:
    text = reply.strip()
    mark = text[:1]
    fence = text[: len(text) - len(text.lstrip(mark))] if mark in ("`", "~") else ""
    if len(fence) < 3 or len(text) < 2 * len(fence) or not text.endswith(fence):
        return reply
    body = text[len(fence) : -len(fence)].lstrip(" \t")
    language = _LANGUAGE.match(body)
    after = body[language.end() :] if language else body
    # Without whitespace after it, it is not a language but part of the text.
    return after if after[:1].isspace() or not language or not language[0] else body
