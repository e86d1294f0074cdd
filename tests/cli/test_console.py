"""What the terminal shows: every hidden character, no word cut, and each wait by its name and its clock."""

import io
import re
import time
import unicodedata
from typing import get_args

import pytest
from rich.console import Console

from tutelage.cli.views import console
from tutelage.cli.views.layout import StreamWrapper, column_widths, printable
from tutelage.cli.views.terminal import Terminal
from tutelage.codes import Message
from tutelage.run import events
from tutelage.stages.reporter import Reporter

ZERO_WIDTH = "\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SEPARATORS = "\u2028\u2029"
CONTROLS = "".join(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t")
FILLERS = "\u115f\u1160\u3164\uffa0\u2800"
HALVES = "\ud800\udfff"
HIDDEN = [*ZERO_WIDTH, *BIDI, *SEPARATORS, *CONTROLS, *FILLERS, *HALVES, "\U000e0041", "\U000e0100", "\ue000"]
SEEN = ["a", "é", "谁", "\n", "\t", " ", "😀", "\u3000", "्", "ﷺ", "[bold]", ":smile:", "\\"]
SENTENCE = "The row has no answer, so fill it there or drop such rows, as data.empty says."


@pytest.fixture
def terminal(monkeypatch):
    """Put a terminal of some width in place of both streams; return what it shows."""

    def begin(width, *, is_terminal=True):
        shown = {}
        for name in ("out", "err"):
            made = Console(
                file=io.StringIO(), force_terminal=is_terminal, width=width, color_system=None, soft_wrap=True
            )
            monkeypatch.setattr(console, name, made)
            shown[name] = made.file
        return shown

    return begin


def texts_shown(text, begin):
    """Print a text in every way in which a user's text is printed, and return what each way shows."""
    ways = {
        "print_message": lambda: console.print_message(text),
        "verbatim": lambda: console.verbatim(text),
        "streamed": lambda: stream([text]),
        "heading": lambda: console.heading(text),
        "report_error": lambda: console.report_error("data.x", text),
        "warn": lambda: console.warn(Message("data.x", text)),
        "warn_aside": lambda: console.warn_aside(Message("data.x", text)),
        "note": lambda: console.note("data.x", text),
        "table": lambda: console.table(["column"], [[text]]),
        "marked": lambda: console.marked([(text, True), (text, False)]),
        "tree": lambda: console.tree([([(text, None)], [])]),
    }
    for name, show in ways.items():
        shown = begin(200, is_terminal=False)
        show()
        yield name, shown["out"].getvalue() + shown["err"].getvalue()


def stream(pieces):
    with console.streamed() as show:
        for piece in pieces:
            show(piece)


@pytest.mark.parametrize("character", HIDDEN, ids=lambda one: f"U+{ord(one):04X}")
def test_a_hidden_character_is_shown_as_its_escape(character):
    escaped = printable(f"a{character}b")
    assert re.fullmatch(r"a\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})b", escaped)
    assert int(escaped[3:-1], 16) == ord(character)


def test_hidden_characters_are_shown_wherever_a_text_is_printed(terminal):
    for name, shown in texts_shown(f"a{''.join(HIDDEN)}b", terminal):
        assert {one for one in shown if unicodedata.category(one) in ("Cf", "Zl", "Zp", "Cs")} == set(), name
        assert {one for one in shown if unicodedata.category(one) == "Cc"} <= {"\n"}, name
        assert not {*shown} & {*FILLERS}, name
        assert "\\u200b" in shown, name


@pytest.mark.parametrize("text", SEEN)
def test_what_is_seen_stays_as_it_is(terminal, text):
    assert printable(text) == text
    shown = terminal(80)
    console.print_message(f"<{text}>")
    assert shown["out"].getvalue().replace(" " * 7, "\t") in (
        f"<{text}>\n",
        "<\t>\n",
        f"<{text}>\n".expandtabs(),
    )


@pytest.mark.parametrize("width", [20, 40, 80])
def test_messages_and_errors_wrap_between_words(terminal, width):
    shown = terminal(width)
    console.print_message(SENTENCE)
    console.heading(SENTENCE)
    console.report_error("data.x", SENTENCE)
    console.warn_aside(Message("data.x", SENTENCE))
    lines = [line for stream in shown.values() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert sorted(words) == sorted([*SENTENCE.split() * 4, "error[data.x]:", "Warning[data.x]:"])
    assert max(len(line) for line in lines) > width / 2


def test_a_pipe_gets_whole_lines(terminal):
    shown = terminal(40, is_terminal=False)
    console.print_message(SENTENCE)
    console.report_error("data.x", SENTENCE)
    assert shown["out"].getvalue() == f"{SENTENCE}\n"
    assert shown["err"].getvalue() == f"error[data.x]: {SENTENCE}\n"


def test_what_is_copied_gets_no_line_breaks(terminal):
    shown = terminal(20)
    console.verbatim(f"tutelage generate runs/mine '{SENTENCE}'")
    assert shown["out"].getvalue() == f"tutelage generate runs/mine '{SENTENCE}'\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("the quick brown fox", ["the quick", "brown fox"]),
        ("exactly 10\nand more.", ["exactly 10", "and more."]),
        ("a\n\n  two blanks\n", ["a", "", "  two", "blanks", ""]),
        ("a\tb\tc", ["a       b", "c"]),
        ("https://example.org/ is", ["https://ex", "ample.org/", "is"]),
        ("say https://example.org", ["say", "https://ex", "ample.org"]),
        ("谁是谁的老师呢 abc", ["谁是谁的老", "师呢 abc"]),
        ("ab谁是谁的老", ["ab谁是谁的", "老"]),
        ("nine cells 谁", ["nine cells", "谁"]),
        (
            "e\u0301e\u0301e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301e\u0301",
            ["e\u0301" * 5 + " " + "e\u0301" * 4],
        ),
        ("a[b] :x: \\", ["a[b] :x: \\"]),
    ],
)
def test_a_stream_wraps_between_words_whatever_its_pieces(terminal, text, lines, size):
    shown = terminal(10)
    stream(text[at : at + size] for at in range(0, len(text), size))
    assert shown["out"].getvalue().split("\n") == lines


def test_a_stream_shows_each_word_as_soon_as_it_ends():
    wrapper = StreamWrapper(lambda: 10, cells=len)
    assert [wrapper.add(piece) for piece in ("one tw", "o a ", "three")] == ["one", " two a", ""]
    assert wrapper.finish() == "\nthree"


def test_a_stream_wraps_at_the_width_that_the_terminal_has_by_then():
    width = 20
    wrapper = StreamWrapper(lambda: width, cells=len)
    assert wrapper.add("four word ") == "four word"
    width = 12
    assert wrapper.add("more ") == "\nmore"


def test_a_stream_keeps_its_lines_in_a_pipe_and_its_last_word_where_it_breaks_off(terminal):
    shown = terminal(20, is_terminal=False)
    stream([SENTENCE[:30], SENTENCE[30:]])
    assert shown["out"].getvalue() == SENTENCE
    shown = terminal(20)
    with pytest.raises(KeyboardInterrupt), console.streamed() as show:
        show("half a wo")
        raise KeyboardInterrupt
    assert shown["out"].getvalue() == "half a wo"


@pytest.mark.parametrize("width", [24, 40, 80])
def test_tables_cut_no_word(terminal, width):
    rows = [["training.learning_rate", SENTENCE, "--set"], ["谁是谁", "0.5", "my.toml:3"]]
    shown = terminal(width)
    console.table(["setting", "value", "from"], rows)
    lines = shown["out"].getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert {word for row in rows for cell in row for word in cell.split()} <= {*" ".join(lines).split()}


def test_the_width_of_columns_is_that_of_their_words_at_least():
    lines = [["a", "long word"], ["bb", "x"]]
    assert column_widths(lines, 13, cells=len) == [2, 9]
    assert column_widths(lines, 10, cells=len) == [2, 6]
    assert column_widths(lines, 8, cells=len) == [2, 4]
    assert column_widths(lines, 7, cells=len) is None


@pytest.mark.parametrize("aside", [False, True])
def test_a_wait_is_one_line_in_a_pipe(terminal, aside):
    shown = terminal(80, is_terminal=False)
    with console.waiting("Loading the model", aside=aside):
        pass
    assert shown["err" if aside else "out"].getvalue() == "Loading the model …\n"
    assert shown["out" if aside else "err"].getvalue() == ""


def test_each_wait_ends_the_one_before(terminal):
    shown = terminal(80)
    with Terminal() as listener, Reporter(listener).one_at_a_time() as wait:
        for label in ("Loading the model", "Checking it"):
            wait(label)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown["out"].getvalue()).replace("\r", "\n")
    ended = [line.split("0:00:")[0].strip() for line in plain.splitlines() if "0:00:" in line]
    assert list(dict.fromkeys(line.lstrip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ") for line in ended)) == [
        "Loading the model",
        "Checking it",
    ]


def test_a_bar_ends_when_all_is_done_and_nothing_is_shown_after_a_fault(terminal):
    shown = terminal(80)
    with pytest.raises(ValueError, match="broken"), Terminal() as listener:
        reporter = Reporter(listener)
        advance = reporter.progress("Reading", 2)
        advance(2)
        assert not listener._shown.pop_all()._exit_callbacks  # the bar stands still
        reporter.progress("Writing", 3)(1)
        raise ValueError("broken")
    assert not listener._shown.pop_all()._exit_callbacks
    assert "2/2" in shown["out"].getvalue()
    assert "1/3" in shown["out"].getvalue()


def test_each_handler_of_the_terminal_is_of_an_event_or_a_stage_that_there_is():
    kinds = {kind.event for kind in events.Event.__subclasses__()}
    handled = {name.removeprefix("_on_") for name in vars(Terminal) if name.startswith("_on_")}
    finished = {name.removeprefix("_finish_") for name in vars(Terminal) if name.startswith("_finish_")}
    assert handled <= kinds
    # A sample answer, checksums that were skipped and an early end are told at the end of their stage, or by a note.
    assert kinds - handled == {"sample", "checksums_skipped", "stopped_early"}
    # The command `export` shows what it wrote.
    assert finished == {*get_args(events.Stage)} - {"export"}


@pytest.mark.parametrize("width", [40, 80])
def test_a_wait_has_its_name_and_a_clock_on_a_terminal(terminal, width):
    shown = terminal(width)
    with console.waiting("Checking the model's results against one row at a time"):
        time.sleep(0)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown["out"].getvalue())
    assert re.search(r"\d:\d\d:\d\d", plain)
    last = plain.replace("\r", "\n").rpartition("0:00:0")[0].splitlines()[-1] + plain.rpartition("0:00:0")[2]
    assert "Checking" in last
    assert max(map(len, plain.replace("\r", "\n").splitlines())) <= width
