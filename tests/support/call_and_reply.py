"""A row format that no module of the program has: one line that begins with `Q:`, and one with `A:` below it."""

from tutelage.data.formats.schemas import Schema
from tutelage.data.formats.written_rows import UnfitError, single_exchange
from tutelage.data.rows.conversations import ChatMessage


def read(value, reading):
    """Return both lines as turns."""
    asked, answered = reading.text(value, "exchange").split("\nA: ")
    return (ChatMessage("user", asked.removeprefix("Q: ")), ChatMessage("assistant", answered))


def write(row):
    """Return both turns as lines; UnfitError where one has more."""
    system, (asked, answered) = single_exchange(row)
    if system or "\n" in asked.content + answered.text:
        raise UnfitError("convert.several_exchanges", "more than one line")
    return {"exchange": f"Q: {asked.content}\nA: {answered.text}"}


def write_turned_round(row):
    """Return the answer as what is asked, so that it would be read as another conversation."""
    _, (asked, answered) = single_exchange(row)
    return {"exchange": f"Q: {answered.text}\nA: {asked.content}"}


FORMAT = Schema(("exchange",), (), read, write)
TURNED_ROUND = Schema(("exchange",), (), read, write_turned_round)
