"""Repair texts without loss: lone surrogates, NUL characters and CRLF line endings."""

import re
from collections.abc import Callable
from dataclasses import replace

from tutelage.codes import Message
from tutelage.data.quality.call_texts import CALL_IN_ANSWER, has_equal_keys, with_call_texts
from tutelage.data.rows.conversations import ChatMessage, Conversation

SURROGATES = re.compile(r"[\ud800-\udfff]")
# Matches calls that may need a repair: JSON escapes NUL and CRLF, and sometimes surrogates.
NEEDED_IN_CALL = re.compile(r"[\ud800-\udfff]|\\u0000|\\r|\\u000[dD]|\\u[dD][89a-fA-F]")

Repair = Callable[[str, str], str]  # (text, its name) -> repaired text


def repair_row(row: Conversation, names: list[str]) -> tuple[Conversation, list[Message], list[Message]]:
    """Return the repaired row, the repairs, and reasons to drop it; `names` are the names of its messages.

    Function names, keys and arguments of tool calls are repaired like other texts.
    """
    repairs: list[Message] = []
    drops: list[Message] = []

    def repair(text: str, name: str) -> str:
        repaired, done = repair_text(text)
        repairs.extend(Message(one.code, f"{name}: {one.text}") for one in done)
        return repaired

    def repair_call(call: str, name: str) -> str:
        repaired = with_call_texts(call, lambda text: repair(text, name))
        if repaired != call and has_equal_keys(repaired) and not has_equal_keys(call):
            told = f"{name}: two keys would be equal after repair"
            drops.append(Message("data.tool_call_keys_equal", told))
        return repaired

    turns = tuple(
        turn if is_clean(turn) else _repaired(turn, name, repair, repair_call)
        for turn, name in zip(row.messages, names, strict=True)
    )
    rejected = row.rejected
    if rejected is not None:
        rejected = CALL_IN_ANSWER.sub(
            lambda found: repair_call(found[0], "rejected, tool call"), repair(rejected, "rejected")
        )
    return (replace(row, messages=turns, rejected=rejected) if repairs else row), repairs, drops


def _repaired(turn: ChatMessage, name: str, repair: Repair, repair_call: Repair) -> ChatMessage:
    return replace(
        turn,
        text=repair(turn.text, name),
        input=repair(turn.input, "input"),
        calls=tuple(repair_call(call, f"{name}, tool call") for call in turn.calls),
    )


def needs_no_repair(row: Conversation) -> bool:
    """Return whether no text of a row needs a repair, with a fast check."""
    return all(map(is_clean, row.messages)) and (
        row.rejected is None or (_is_clean_text(row.rejected) and not NEEDED_IN_CALL.search(row.rejected))
    )


def is_clean(turn: ChatMessage) -> bool:
    return _is_clean_text(turn.text + turn.input) and (
        not turn.calls or not any(map(NEEDED_IN_CALL.search, turn.calls))
    )


def _is_clean_text(text: str) -> bool:
    return "\x00" not in text and "\r\n" not in text and (text.isascii() or not SURROGATES.search(text))


def repair_text(text: str) -> tuple[str, list[Message]]:
    """Return a text without characters that no model should read, and the repairs."""
    repairs: list[Message] = []
    if not text.isascii() and SURROGATES.search(text):
        text = SURROGATES.sub("\ufffd", text)
        repairs.append(Message("data.lone_surrogate", "lone surrogates were replaced with U+FFFD"))
    if "\x00" in text:
        text = text.replace("\x00", "")
        repairs.append(Message("data.nul_characters", "NUL characters were removed"))
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        repairs.append(Message("data.crlf", "CRLF was replaced with LF"))
    return text, repairs
