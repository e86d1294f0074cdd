"""All output goes through here: wrapped lines and bars on a terminal, whole lines in a pipe, errors on stderr."""

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from tutelage.cli.views.layout import BETWEEN, StreamWrapper, column_widths, listed, printable
from tutelage.codes import Message
from tutelage.errors import StorageError
from tutelage.system.streams import has_reader, outlet_of

SECONDS_BETWEEN_PLAIN_LINES = 10
NARROW, WIDE = 60, 80  # terminal columns: no bar below the first, a growing bar from the second on
SHORTEST_BAR, LONGEST_BAR = 10, 40

Advance = Callable[[int, str], None]
# A text, and whether it is supervised; None for annotations.
Span = tuple[str, bool | None]
# The text at a tree node, and the nodes below it.
Node = tuple[Sequence[Span], Sequence["Node"]]

WIDTH_WHEN_PIPED = 160  # files and pipes should get whole lines

HAS_TERMINAL = sys.stdout is not None and sys.stdout.isatty()  # stdout is None if it was closed
out = Console(highlight=False, soft_wrap=True, width=None if HAS_TERMINAL else WIDTH_WHEN_PIPED)
KEY = "supervised ones in green" if out.is_terminal else "supervised ones in ⟦ ⟧"
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_message(text: str = "") -> None:
    """Print a message, wrapped between words on a terminal; invisible characters are escaped."""
    _put(out, Text(printable(text)))


def verbatim(text: str) -> None:
    """Print lines to be copied, such as commands or answers, without adding line breaks."""
    out.print(Text(printable(text)))


@contextmanager
def streamed() -> Iterator[Callable[[str], None]]:
    """Yield a function that prints a text in pieces as it arrives, wrapped between words on a terminal."""

    def put(text: str) -> None:
        if text:
            out.print(Text(text), end="")

    if not out.is_terminal:
        yield lambda piece: put(printable(piece))
        return
    wrapper = StreamWrapper(lambda: out.width, cells=cell_len)
    try:
        yield lambda piece: put(wrapper.add(printable(piece)))
    finally:
        put(wrapper.finish())


def _put(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)


def print_json(value: object) -> None:
    """Print a value as JSON, independent of the terminal width."""
    _put_json(_json_text(value) + "\n")
    _require_written_output()


def print_long_json(fields: Mapping[str, object]) -> None:
    """Print an object as `print_json` does, but write the items of iterators one by one."""
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
    _require_written_output()


def _indented(value: object, spaces: int) -> str:
    return _json_text(value).replace("\n", "\n" + " " * spaces)


def _json_text(value: object) -> str:
    """Return JSON that stdout can encode; other characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False)
    return text


def _put_json(text: str) -> None:
    sys.stdout.write(text)
    if not has_reader():
        _require_written_output()


def require_stdout() -> None:
    """Raise StorageError if stdout is closed, before a command that only prints its result."""
    if not has_reader():
        raise StorageError(
            "storage.output_closed",
            "Standard output is closed, and this command writes nowhere else. Leave it open, or redirect it to a file.",
        )


def _require_written_output() -> None:
    """Raise StorageError if another program did not get all of its output; messages for people may be lost."""
    sys.stdout.flush()
    if not has_reader():
        raise StorageError(
            "storage.output_closed",
            "Standard output is closed, or the program that reads it has exited, so the rest was not"
            " written. Redirect the output to a file.",
        )


def print_text(text: str) -> None:
    """Print a text that includes its final newline."""
    sys.stdout.write(printable(text))


def write_verbatim(text: str) -> None:
    """Write a part of a file for another program verbatim, as UTF-8."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    _require_written_output()


def heading(text: str) -> None:
    _put(out, Text(printable(text), style="bold"))


def report_error(code: str, text: str) -> None:
    """Print an error; if stderr is not writable, the exit code must suffice."""
    with suppress(OSError):
        _put(err, Text.assemble((f"error[{code}]:", "bold red"), f" {printable(text)}"))


def warn(message: Message) -> None:
    """Print a warning."""
    print_message(f"Warning[{message.code}]: {message.text}")


def warn_aside(message: Message) -> None:
    """Print a warning on stderr, because stdout may be read by another program."""
    with suppress(OSError):
        _put(err, Text(printable(f"Warning[{message.code}]: {message.text}")))


def note(code: str, text: str) -> None:
    """Print a note."""
    print_message(f"Note[{code}]: {text}")


def finish() -> None:
    """Flush stdout; raise OSError if it is not writable."""
    sys.stdout.flush()


def takes_more() -> bool:
    """Return whether stdout is writable; a disk error must then concern another file."""
    outlet = outlet_of(sys.stdout)
    return outlet is not None and not outlet.was_refused


def abandon() -> None:
    """Discard unwritten output; otherwise Python would retry at exit and change the exit code."""
    outlet = outlet_of(sys.stdout)
    if outlet is not None:
        outlet.abandon()
        return
    with suppress(OSError):  # a stream without a file has nothing to discard
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(columns: list[str], rows: list[list[str]], *, numeric: Collection[int] = ()) -> None:
    """Print a table, without a header if there are no column names; `numeric` columns are right-aligned."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths: list[int] | list[None] | None = [None] * len(cells[0])
    if out.is_terminal:
        widths = column_widths([*([columns] if columns else []), *cells], out.width, cells=cell_len)
    if widths is None:  # the longest words do not fit next to each other
        for row in cells:
            first, *others = listed(columns, row) or [""]
            out.print(
                Text(first), *(Padding(Text(line), (0, 0, 0, BETWEEN)) for line in others), soft_wrap=False
            )
        return
    shown = Table(box=None, pad_edge=False, header_style="dim", show_header=bool(columns))
    for index, width in enumerate(widths):
        shown.add_column(
            columns[index] if columns else "",
            justify="right" if index in numeric else "left",
            overflow="fold",
            width=width,
        )
    for row in cells:
        shown.add_row(*map(Text, row))
    out.print(shown, soft_wrap=False)


def marked(parts: Sequence[Span]) -> None:
    """Print texts in sequence, with supervised ones in color or in brackets."""
    out.print(_marked(parts))


def tree(nodes: Sequence[Node]) -> None:
    """Print a tree with marked texts."""
    root = Tree("", hide_root=True)
    _grow(root, nodes)
    out.print(root, soft_wrap=False)


def _grow(branch: Tree, nodes: Sequence[Node]) -> None:
    for parts, inner in nodes:
        _grow(branch.add(_marked(parts)), inner)


def _marked(parts: Sequence[Span]) -> Text:
    text = Text()
    for is_supervised, run in groupby(parts, key=lambda part: part[1]):
        said = printable("".join(words for words, _ in run))
        if is_supervised and not out.is_terminal:
            said = f"⟦{said}⟧"
        text.append(said, style={True: "bold green", False: "", None: "dim"}[is_supervised])
    return text


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show a progress bar, or plain lines every ten seconds; `advance(steps, detail)` moves it.

    Without a total, the bar only shows the amount done.
    """
    if not out.is_terminal:
        yield _plain_progress(label, total)
        return
    with Progress(*_columns(out.width), console=out) as bar:
        task = bar.add_task(printable(label), total=total, detail="")
        yield lambda steps, detail="": bar.update(task, advance=steps, detail=printable(detail))


def _columns(width: int) -> list[ProgressColumn]:
    """Return the columns of a progress bar for a terminal width; the last one wraps."""
    detail = _text_column("{task.fields[detail]}", wraps=True)
    label = _text_column("{task.description}", wraps=width < NARROW)
    if width < NARROW:
        return [label, MofNCompleteColumn(), TimeElapsedColumn(), detail]
    bar = BarColumn(bar_width=max(SHORTEST_BAR, min(LONGEST_BAR, width - WIDE)))
    left = [_text_column("left"), TimeRemainingColumn()]
    return [label, bar, MofNCompleteColumn(), TimeElapsedColumn(), *left, detail]


def _text_column(text: str, *, wraps: bool = False) -> TextColumn:
    return TextColumn(text, markup=False, table_column=Column(no_wrap=not wraps, overflow="fold"))


@contextmanager
def waiting(label: str, *, aside: bool = False) -> Iterator[None]:
    """Show a label and a clock during work of unknown duration; on stderr if `aside`."""
    console = err if aside else out
    if not console.is_terminal:
        with suppress(OSError) if aside else nullcontext():
            console.print(Text(printable(f"{label} …")))
        yield
        return
    columns = (SpinnerColumn(), _text_column("{task.description}", wraps=True), TimeElapsedColumn())
    with Progress(*columns, console=console) as line:
        task = line.add_task(printable(label), total=None)
        yield
        line.update(task, total=1, completed=1)  # hide the spinner, keep the time


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
        print_message(f"{label}: {done}{of_total}, {_minutes(now - begin)}{left}  {detail}".rstrip())
        sys.stdout.flush()

    return advance


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
