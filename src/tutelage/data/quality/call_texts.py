"""The texts in tool calls: function names, keys and values, decoded from JSON."""

import json
import re
from collections.abc import Callable, Iterator

from tutelage.data.rows.conversations import Conversation

# Only strings can contain a quotation mark, so these matches are exactly the strings of a JSON text.
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# A tool call inside an answer that is a single text, like the rejected one.
CALL_IN_ANSWER = re.compile(r"(?<=<tool_call>\n)\{.*\}(?=\n</tool_call>)")


def call_texts(call: str) -> list[str]:
    """Return the function name, keys and texts of a call."""
    return [_decoded(found) for found in STRING.findall(call)]


def with_call_texts(call: str, change: Callable[[str], str]) -> str:
    """Return a call with each text changed; everything else stays exactly the same."""

    def changed(found: re.Match[str]) -> str:
        text = _decoded(found[0])
        made = change(text)
        return found[0] if made == text else json.dumps(made, ensure_ascii=False)

    return STRING.sub(changed, call)


def has_equal_keys(call: str) -> bool:
    """Return whether an object in a call has a repeated key."""
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
    """Yield every nonempty text of a row: messages, tool calls and rejected answer."""
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
    except ValueError:  # an escape that JSON does not define
        return string
