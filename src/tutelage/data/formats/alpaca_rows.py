"""Read rows in Alpaca format, including the history that some variants have."""

from tutelage.data.formats.messages import list_in_text, system_message
from tutelage.data.rows.conversations import ChatMessage
from tutelage.data.rows.reading import Reading, RowError, Value, json_kind


def read_alpaca(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    asked = ChatMessage("user", reading.text(value, "instruction"), reading.text(value, "input"))
    answered = ChatMessage("assistant", reading.text(value, "output"))
    if not value.get("system") and not value.get("history"):
        return (asked, answered)
    return (*system_message(value, reading), *_history(value), asked, answered)


def _history(value: Value) -> tuple[ChatMessage, ...]:
    """Read the history of an Alpaca row: a list of [question, answer] pairs."""
    history = value.get("history") or []
    if isinstance(history, str) and history.lstrip().startswith("["):
        history = list_in_text(history, "history")
    turns: list[ChatMessage] = []
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowError(
                "data.history_malformed",
                "with 'history' that is not a list of pairs of texts",
                json_kind(pair),
                'Write it as [["question", "answer"], …].',
            )
        turns += [ChatMessage("user", pair[0]), ChatMessage("assistant", pair[1])]
    return tuple(turns)
