"""The texts inside tool calls: each function name, key and value as the JSON says it, not as it is escaped."""

import json
import re
from collections.abc import Callable, Iterator

from tutelage.data.rows.conversations import Conversation

# Strings alone can hold a quotation mark, so that in JSON these are its strings and nothing else.
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# How a call stands in an answer that is one text, as the rejected one is.
CALL_IN_ANSWER = re.compile(r"(?<=<tool_call>\n)\{.*\}(?=\n</tool_call>)")


def call_texts(call: str) -> list[str]:
    """Return the function name, the keys and the texts of a call."""
    return [_decoded(found) for found in STRING.findall(call)]


def with_call_texts(call: str, change: Callable[[str], str]) -> str:
    """Return a call with each of its texts changed; all else stays to the letter."""

    def changed(found: re.Match[str]) -> str:
        text = _decoded(found[0])
        made = change(text)
        return found[0] if made == text else json.dumps(made, ensure_ascii=False)

    return STRING.sub(changed, call)


def has_equal_keys(call: str) -> bool:
    """Tell whether an object of a call names one key twice."""
    found = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) < len(pairs)

    try:
        json.loads(call, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False
    return found


def texts_of(row: Conversation) -> Iterator[str]:
    """Yield every text of a row that is not empty: of its messages, of their tool calls, and of its rejected answer."""
    for turn in row.messages:
        if turn.text:
            yield turn.text
        if turn.input:
            yield turn.input
        for call in turn.calls:
            yield from call_texts(call)
    if row.rejected:
        yield row.rejected
        for call in CALL_IN_ANSWER.findall(row.rejected):
            yield from call_texts(call)


def _decoded(string: str) -> str:
    try:
        return json.loads(string, strict=False)
    except ValueError:  # an escape that JSON does not have
        return string
