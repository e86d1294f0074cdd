"""The only printer: bars on a terminal, plain lines when piped, errors on standard error."""

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tutelage.codes import Message
from tutelage.errors import StorageError
from tutelage.streams import has_reader, outlet_of

SECONDS_BETWEEN_PLAIN_LINES = 10

Advance = Callable[[int, str], None]
# A piece of text, and whether it is supervised; None for what is said about it.
Part = tuple[str, bool | None]
# What stands at a node of a tree, and the nodes below it.
Node = tuple[Sequence[Part], Sequence["Node"]]

WIDTH_WHEN_PIPED = 160  # a reader of a file or a pipe wants whole lines, not a terminal's

HAS_TERMINAL = sys.stdout is not None and sys.stdout.isatty()  # it is None where it was closed
out = Console(highlight=False, soft_wrap=True, width=None if HAS_TERMINAL else WIDTH_WHEN_PIPED)
KEY = "supervised ones in green" if out.is_terminal else "supervised ones in ⟦ ⟧"
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Print a line as it is; terminal control characters in it are made harmless."""
    out.print(escape(printable(text)))


def write(text: str) -> None:
    """Print a part of a line at once, made harmless too."""
    out.print(escape(printable(text)), end="")


def say_json(value: object) -> None:
    """Print a value as JSON for another program, whatever the width of the terminal."""
    _put_json(_json_text(value) + "\n")
    _refuse_lost_output()


def say_long_json(fields: Mapping[str, object]) -> None:
    """Print an object as `say_json` does, the items of an iterator among its values one after the other."""
    opening = "{\n"
    for name, value in fields.items():
        _put_json(f"{opening}  {json.dumps(name)}: ")
        opening = ",\n"
        if isinstance(value, Iterator):
            before, after = "[\n    ", "[]"
            for item in value:
                _put_json(before + _indented(item, 4))
                before, after = ",\n    ", "\n  ]"
            _put_json(after)
        else:
            _put_json(_indented(value, 2))
    _put_json("\n}\n")
    _refuse_lost_output()


def _indented(value: object, spaces: int) -> str:
    return _json_text(value).replace("\n", "\n" + " " * spaces)


def _json_text(value: object) -> str:
    """Return JSON that standard output can write: characters that its encoding lacks are escaped, and so stay whole."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False)
    return text


def _put_json(text: str) -> None:
    sys.stdout.write(text)
    if not has_reader():
        _refuse_lost_output()


def _refuse_lost_output() -> None:
    """Stop where another program does not get all of its output; what is for people may be lost."""
    sys.stdout.flush()
    if not has_reader():
        raise StorageError(
            "storage.output_closed",
            "The program that read the output has ended, so the rest was not written. Write to a file, or let it read"
            " to the end.",
        )


def say_text(text: str) -> None:
    """Print a whole text that ends its last line itself, for a person or for another program."""
    sys.stdout.write(printable(text))


def pour(text: str) -> None:
    """Write a part of a file for another program, to the letter: in UTF-8, whatever a terminal would take."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    _refuse_lost_output()


def heading(text: str) -> None:
    out.print(f"[bold]{escape(printable(text))}[/bold]")


def complain(code: str, text: str) -> None:
    """Print an error for a person; where standard error takes no more, the exit code has to say it."""
    with suppress(OSError):
        err.print(f"[bold red]error\\[{code}]:[/bold red] {escape(printable(text))}")


def warn(message: Message) -> None:
    """Print what may be wrong, though the command goes on."""
    say(f"Warning[{message.code}]: {message.text}")


def warn_aside(message: Message) -> None:
    """Print what may be wrong on standard error, for standard output may be another program's."""
    with suppress(OSError):
        err.print(f"Warning\\[{message.code}]: {escape(printable(message.text))}")


def note(code: str, text: str) -> None:
    """Print what is good to know."""
    say(f"Note[{code}]: {text}")


def finish() -> None:
    """Write out what standard output still holds back; OSError where it takes no more."""
    sys.stdout.flush()


def takes_more() -> bool:
    """Tell whether standard output takes what is written to it; a fault of the disk is one of another file then."""
    outlet = outlet_of(sys.stdout)
    return outlet is not None and not outlet.was_refused


def abandon() -> None:
    """Give up what standard output could not take, or Python would try again at its end, and change the exit code."""
    outlet = outlet_of(sys.stdout)
    if outlet is not None:
        outlet.abandon()
        return
    with suppress(OSError):  # one that stands for no file has nothing to give up
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(columns: list[str], rows: list[list[str]], *, numeric: Collection[int] = ()) -> None:
    """Print a table, without a header where no columns are named; `numeric` columns are aligned to the right."""
    shown = Table(box=None, pad_edge=False, header_style="dim", show_header=bool(columns))
    for index in range(len(rows[0])):
        name = columns[index] if columns else ""
        shown.add_column(name, justify="right" if index in numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(printable(cell)) for cell in row))
    out.print(shown, soft_wrap=False)


def marked(parts: Sequence[Part]) -> None:
    """Print texts in a row, the supervised ones in colour, or in brackets where there is none."""
    out.print(_marked(parts))


def tree(nodes: Sequence[Node]) -> None:
    """Print a tree, each node with its parts marked."""
    root = Tree("", hide_root=True)
    _grow(root, nodes)
    out.print(root, soft_wrap=False)


def _grow(branch: Tree, nodes: Sequence[Node]) -> None:
    for parts, inner in nodes:
        _grow(branch.add(_marked(parts)), inner)


def _marked(parts: Sequence[Part]) -> Text:
    text = Text()
    for is_supervised, run in groupby(parts, key=lambda part: part[1]):
        said = printable("".join(words for words, _ in run))
        if is_supervised and not out.is_terminal:
            said = f"⟦{said}⟧"
        text.append(said, style={True: "bold green", False: "", None: "dim"}[is_supervised])
    return text


def printable(text: str) -> str:
    """Replace control characters other than line breaks and tabs, so that no text can drive the terminal or turn it.

    So are halves of surrogate pairs, which stand for the odd bytes of a file's name and cannot be written.
    """
    return "".join(
        character if character in "\n\t" or not _is_control(character) else f"\\x{ord(character):02x}"
        for character in text
    )


def _is_control(character: str) -> bool:
    code = ord(character)
    turns_text = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    is_half = 0xD800 <= code <= 0xDFFF
    return code < 0x20 or 0x7F <= code < 0xA0 or turns_text or is_half


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show a bar with the time left, or a plain line every ten seconds; `advance(steps, detail)` moves it.

    A bar of unknown total shows that something is done, and how much so far.
    """
    if not out.is_terminal:
        yield _plain_progress(label, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(label, total=total, detail="")
        yield lambda steps, detail="": bar.update(task, advance=steps, detail=escape(detail))


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show that something of unknown length is under way."""
    if not out.is_terminal:
        say(f"{label} …")
        yield
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=out) as bar:
        bar.add_task(escape(label), total=None)
        yield


def _plain_progress(label: str, total: int | None) -> Advance:
    begin = time.monotonic()
    done, last = 0, begin

    def advance(steps: int, detail: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if done != total and now - last < SECONDS_BETWEEN_PLAIN_LINES:
            return
        last = now
        of_total, left = "", ""
        if total is not None:
            seconds = (now - begin) / done * (total - done) if done else 0
            of_total, left = f" of {total}", f", {_minutes(seconds)} left"
        say(f"{label}: {done}{of_total}, {_minutes(now - begin)}{left}  {detail}".rstrip())
        sys.stdout.flush()

    return advance


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
