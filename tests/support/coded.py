"""What coded messages carry, for assertions: their codes, which never change, and their texts."""

from collections.abc import Iterable

from tutelage.codes import Message


def codes_of(messages: Iterable[Message]) -> list[str]:
    """Return the code of each message."""
    return [message.code for message in messages]


def texts_of(messages: Iterable[Message]) -> list[str]:
    """Return the text of each message."""
    return [message.text for message in messages]
