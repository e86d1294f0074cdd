"""The picture of a terminal: what its screen makes of bytes, and that the picture in docs/ is one of a real run."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tools.pictures.screen import PALETTE, PLAIN, Run, Screen, Style
from tools.pictures.terminal import COLUMNS, COMMAND, FRAMES, PICTURE, Recording, draw, frames_of, record

SVG = "{http://www.w3.org/2000/svg}"


def shown(written: bytes, columns: int = 20) -> list[str]:
    screen = Screen(columns)
    screen.feed(written)
    return [text_of(line) for line in screen.lines()]


def text_of(line: tuple[Run, ...]) -> str:
    text, column = "", 0
    for run in line:
        text += " " * (run.column - column) + run.text
        column = run.column + run.cells
    return text


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"abcdef\rxy", ["xycdef"]),  # a carriage return overwrites, and erases nothing
        (b"abcdef\r\x1b[2Kxy", ["xy"]),
        (b"abcdef\x1b[3D\x1b[K", ["abc"]),
        (b"abcdef\x1b[3D\x1b[1K", ["    ef"]),  # up to the cursor, with the place that it is on
        (b"1 %\r\n2 %\r\n\x1b[2A\x1b[2K3 %\r\n", ["3 %", "2 %"]),
        (b"one\r\ntwo\r\nthree\x1b[1A\r\x1b[J", ["one"]),
        (b"\x1b[5Aone", ["one"]),  # there is nothing above the first line
        (b"a\x1b[3Cb\x1b[1Gc\x1b[1Bd", ["c   b", " d"]),
        (b"ab\bc\ta\a", ["ac      a"]),
        (b"\x1b[?25l\x1b]0;a title\x07seen\x1b]8;;\x1b\\\x1b[?25h", ["seen"]),
        (b"a  \r\n\r\nb   c \r\n\r\n", ["a", "", "b   c"]),
        (b"0123456789" * 2 + b"\r\nx", ["0123456789" * 2, "x"]),  # a full line waits for what comes
        (b"0123456789" * 2 + b"x", ["0123456789" * 2, "x"]),
        ("e\u0301a".encode(), ["e\u0301a"]),
    ],
)
def test_the_screen_shows_what_a_terminal_shows(written, lines):
    assert shown(written) == lines
    screen = Screen(20)
    for place in range(len(written)):  # however it is cut
        screen.feed(written[place : place + 1])
    assert [text_of(line) for line in screen.lines()] == lines


def test_a_wide_character_takes_two_places():
    screen = Screen(5)
    screen.feed("中文字a".encode())  # the third has no room beside the two
    assert screen.lines() == ((Run(0, 4, "中文", PLAIN),), (Run(0, 3, "字a", PLAIN),))


@pytest.mark.parametrize(
    ("written", "line"), [("中文\rx", "x 文"), ("中文\r\x1b[1Cx", " x文"), ("中文\x1b[3D\x1b[K", "")]
)
def test_half_a_wide_character_is_none(written, line):
    assert "".join(shown(written.encode())) == line


def test_colours_hold_until_they_are_reset():
    screen = Screen(40)
    screen.feed(
        b"a\x1b[1;32mb\x1b[0mc\x1b[38;5;237md\x1b[38;2;249;38;114me\x1b[39mf\x1b[2;91mg\x1b[22mh\x1b[38;5;197mi"
    )
    green, bright_red = PALETTE[2], PALETTE[9]
    assert [(run.text, run.style) for run in screen.lines()[0]] == [
        ("a", PLAIN),
        ("b", Style(green, is_bold=True)),
        ("c", PLAIN),
        ("d", Style("#3a3a3a")),
        ("e", Style("#f92672")),
        ("f", PLAIN),
        ("g", Style(bright_red, is_dim=True)),
        ("h", Style(bright_red)),
        ("i", Style("#ff005f")),
    ]


@pytest.mark.parametrize("written", [b"\x1b[3;4H", b"\x1b[48;5;1m", b"\x1bM ", b"\x1b[2J", b"\x00"])
def test_what_the_screen_does_not_know_is_an_error(written):
    with pytest.raises(ValueError, match="unknown"):
        Screen(20).feed(written)


def test_the_frames_follow_the_clock_of_the_recording():
    chunks = [(1.0, b"10 %"), (9.0, b"\r90 %"), (19.0, b"\rdone & <checked>\r\n")]
    recording = Recording("measure", chunks, seconds=19.0, cores=2)
    last = [text_of(frame[-1]) for frame in frames_of(recording)]
    assert last == ["$ measure", *["10 %"] * 8, *["90 %"] * 10, "done & <checked>"]
    assert FRAMES == 20

    groups = ElementTree.fromstring(draw(recording)).findall(f"{SVG}g")
    seen = [("".join(group.itertext()), group.get("visibility"), group.get("style")) for group in groups]
    assert seen == [
        ("$measure", None, None),
        ("10 %", "hidden", "animation:show 4.8s 0.6s"),
        ("90 %", "hidden", "animation:show 6s 5.4s"),
        ("done & <checked>", None, "animation:hide 11.4s"),
    ]


def test_a_recorded_command_has_a_terminal_of_its_own():
    recording = record(
        "python3 -c 'import os; print(os.isatty(1), os.get_terminal_size().columns, os.listdir())'"
    )
    assert text_of(frames_of(recording)[-1][1]) == f"True {COLUMNS} []"


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import os; print(os.getcwd())"])
def test_a_failure_or_a_path_of_this_machine_makes_no_picture(program):
    with pytest.raises(SystemExit, match="ended with exit code 3|prints a path of this machine"):
        record(f"python3 -c {program!r}")


def test_the_picture_in_docs_shows_the_command_and_its_verdict_and_asks_for_nothing():
    text = PICTURE.read_text(encoding="utf-8")
    tree = ElementTree.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} == {
        *("svg", "title", "style", "rect", "path", "circle", "g", "text")
    }
    attributes = {name for element in tree.iter() for name in element.attrib}
    assert not {name for name in attributes if "href" in name or name.startswith("on")}
    assert not re.search(r"url\(|@import|<[!?]", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert len(text.encode()) < 60_000

    stays = [group for group in tree.findall(f"{SVG}g") if group.get("visibility") is None]
    lines = [" ".join(group.itertext()) for group in stays]
    assert lines[0] == f"$ {COMMAND}"
    assert any(re.match("(Better|Worse|No difference detectable): ", line) for line in lines)
