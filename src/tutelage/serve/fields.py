"""What each field of a request may hold: it is honoured, or asks for nothing, or is refused by name and in words."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.errors import DataError

NOTHING = (None, "", [], {})  # what a field holds that asks for nothing, whatever its name is
LONGEST_NAME = 80
MOST_NAMED = 5


class RequestError(DataError):
    """A request that cannot be answered; `param` is the first field at fault, as OpenAI's errors name it."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(code, message)
        self.param = param


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one field; `path` is empty where it is the request itself."""

    code: str
    path: str
    words: str


@dataclass(frozen=True)
class Honoured:
    """A field that decides something: `read` returns its value, and raises ValueError for what is not `may_be`."""

    may_be: str
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Ignored:
    """A field that decides nothing here: `asks_nothing` tells which values may be sent, `why` the others may not."""

    asks_nothing: Callable[[Any], bool]
    why: str


def read_fields(
    value: Mapping[str, Any],
    *,
    honoured: Mapping[str, Honoured],
    idle: Mapping[str, Ignored],
    required: Collection[str] = (),
    path: str = "",
) -> tuple[dict[str, Any], list[Wrong]]:
    """Return the values of the honoured fields that were sent, and what is wrong with the others.

    A field of null is one that was left out.
    """
    read: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for name, given in value.items():
        if given is None:
            continue
        place = f"{path}{shown(name)}"
        if name in honoured:
            try:
                read[name] = honoured[name].read(given)
            except ValueError:
                words = f"it must be {honoured[name].may_be}"
                wrong.append(Wrong("serve.unsupported_request", place, words))
        elif name in idle:
            if not idle[name].asks_nothing(given):
                wrong.append(Wrong("serve.not_offered", place, f"{idle[name].why}; leave it out"))
        elif given not in NOTHING:
            wrong.append(Wrong("serve.unknown_field", place, "this server has no such field; leave it out"))
    for name in required:
        if value.get(name) is None:
            words = f"it is required, and must be {honoured[name].may_be}"
            wrong.append(Wrong("serve.unsupported_request", f"{path}{name}", words))
    return read, wrong


def reject(wrong: list[Wrong]) -> None:
    """Raise RequestError if anything is wrong, in words; its code and `param` are those of the first."""
    if not wrong:
        return
    told = "; ".join(f"{one.path or 'the request'}: {one.words}" for one in wrong[:MOST_NAMED])
    more = f"; and {len(wrong) - MOST_NAMED:,} more" if wrong[MOST_NAMED:] else ""
    raise RequestError(
        wrong[0].code, f"The request cannot be answered: {told}{more}.", param=wrong[0].path or None
    )


def shown(name: str) -> str:
    """Return a name that a client chose, short, and as text that every terminal and encoding takes."""
    return name[:LONGEST_NAME] if name.isprintable() else repr(name[:LONGEST_NAME])[1:-1]


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def number(lowest: float, highest: float, *, above: bool = False) -> Callable[[Any], float]:
    """Return what reads a number from `lowest` to `highest`, or `above` the lowest."""

    def read(value: Any) -> float:
        if not is_number(value) or not lowest <= value <= highest or (above and value == lowest):
            raise ValueError
        return float(value)

    return read


def whole_number(lowest: int, highest: int) -> Callable[[Any], int]:
    """Return what reads a whole number; JSON does not tell 3 from 3.0, and some languages write the latter."""

    def read(value: Any) -> int:
        if not is_number(value) or not lowest <= value <= highest or int(value) != value:
            raise ValueError
        return int(value)

    return read


def is_number(value: Any) -> bool:
    """Tell numbers from the rest; to Python, true and false are numbers, too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Return what tells whether a value is one of these, of the same kind: 1 is 1.0, but not true."""

    def is_one(value: Any) -> bool:
        return any(
            value == one and (type(value) is type(one) or (is_number(value) and is_number(one)))
            for one in values
        )

    return is_one
