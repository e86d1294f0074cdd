"""Read the messages of a chat request."""

from collections.abc import Mapping
from typing import Any, get_args

from tutelage.data.rows.conversations import ChatMessage, Role
from tutelage.serve.fields import Honoured, Wrong, read_fields, text
from tutelage.serve.ignored_fields import OF_MESSAGES

ROLES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",  # newer names and an older one of OpenAI
    "function": "tool",
}
_OBJECT = "it must be an object with a role and a content"
_TEXT_ALONE = "only parts of the type text are supported, not images, audio or files; leave it out"


def _role(value: Any) -> Role:
    if not isinstance(value, str) or value not in ROLES:
        raise ValueError
    return ROLES[value]


def _content(value: Any) -> str | list[Any]:
    if not isinstance(value, str | list):
        raise ValueError
    return value


_HONOURED = {
    "role": Honoured(f"one of {', '.join(ROLES)}", _role),
    "content": Honoured("a string or a list of text parts", _content),
}
_HONOURED_IN_PARTS = {"type": Honoured("text", text), "text": Honoured("a text", text)}


def read_messages(value: list[Any], *, path: str) -> tuple[list[ChatMessage], list[Wrong]]:
    """Return the messages that can be read, and errors in the others."""
    turns: list[ChatMessage] = []
    wrong: list[Wrong] = []
    for place, message in enumerate(value):
        at = f"{path}.{place}"
        if not isinstance(message, dict):
            wrong.append(Wrong("serve.unsupported_request", at, _OBJECT))
            continue
        read, faults = read_fields(
            message, honoured=_HONOURED, idle=OF_MESSAGES, required=["role"], path=f"{at}."
        )
        said, faults_of_parts = _text_of(read.get("content", ""), path=f"{at}.content")
        wrong += [*faults, *faults_of_parts]
        if "role" in read:
            turns.append(ChatMessage(read["role"], said))
    return turns, wrong


def _text_of(content: str | list[Any], *, path: str) -> tuple[str, list[Wrong]]:
    """Return the text of a content; parts are joined as in training rows."""
    if isinstance(content, str):
        return content, []
    texts: list[str] = []
    wrong: list[Wrong] = []
    for place, part in enumerate(content):
        at = f"{path}.{place}"
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, dict) or part.get("type") != "text":
            wrong.append(Wrong("serve.not_offered", at, _TEXT_ALONE))
        else:
            read, faults = read_fields(part, honoured=_HONOURED_IN_PARTS, idle={}, path=f"{at}.")
            texts.append(read.get("text", ""))
            wrong += faults
    return "".join(texts), wrong
