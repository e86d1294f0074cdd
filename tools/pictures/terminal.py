"""Record a run of the program as a picture for the README: `python -m tools.pictures.terminal`.

The picture is an SVG that plays once. Where nothing is animated, it shows the end of the run.
"""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tools.pictures.screen import PLAIN, Line, Run, Screen, Style

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "terminal.svg"
COMMAND = "tutelage run --data starter --output runs/demo --max-steps 96 --set evaluation.limit=64"

COLUMNS = 100
ROWS = 200  # more than the command prints, so that nothing scrolls
FRAMES = 20
SECONDS_PER_FRAME = 0.6

CELL_WIDTH, LINE_HEIGHT, FONT_SIZE = 8.4, 19, 14
MARGIN, TITLE_BAR = 20, 36
FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
BACKGROUND, BAR, TEXT, FAINT_TEXT = "#0d1117", "#21262d", "#d0d7de", "#8b949e"
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")

Frame = tuple[Line, ...]


@dataclass(frozen=True)
class Recording:
    command: str
    chunks: Sequence[tuple[float, bytes]]  # seconds since the start, and what was written then
    seconds: float
    cores: int


def main() -> None:
    """Record the command and write the picture."""
    recording = record(COMMAND)
    picture = draw(recording)
    PICTURE.write_text(picture, encoding="utf-8")
    sys.stdout.write(f"wrote {len(picture.encode())} bytes to {PICTURE.name}\n")


def record(command: str) -> Recording:
    """Run the command on a terminal of its own in an empty folder; a failure or a path of this machine is an error."""
    words = shlex.split(command)
    if words[0] == "tutelage":
        words[:1] = [sys.executable, "-m", "tutelage"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    with tempfile.TemporaryDirectory() as folder:
        reader, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
        begin = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        chunks = []
        while written := _read(reader):
            chunks.append((time.monotonic() - begin, written))
        os.close(reader)
        code = process.wait()
    whole = b"".join(written for _, written in chunks).decode()
    if code:
        raise SystemExit(f"{command} ended with exit code {code}:\n{whole}")
    for private in (folder, str(Path.home())):
        if private in whole:
            raise SystemExit(f"{command} prints a path of this machine, {private}:\n{whole}")
    return Recording(command, chunks, chunks[-1][0] if chunks else 0.0, os.cpu_count() or 1)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the program has ended
        return b""


def frames_of(recording: Recording) -> list[Frame]:
    """Return what the terminal shows at equal distances in time, from the typed command to the last line."""
    screen = Screen(COLUMNS)
    screen.feed(f"\x1b[1;32m$\x1b[0m \x1b[1m{recording.command}\x1b[0m\r\n".encode())
    frames = [screen.lines()]
    rest = list(recording.chunks)
    for number in range(1, FRAMES):
        until = recording.seconds * number / (FRAMES - 1)
        while rest and (rest[0][0] <= until or number == FRAMES - 1):
            screen.feed(rest.pop(0)[1])
        frames.append(screen.lines())
    return frames


def draw(recording: Recording) -> str:
    """Return the picture of a recording as SVG."""
    frames = frames_of(recording)
    rows = max(len(frame) for frame in frames)
    width = round(COLUMNS * CELL_WIDTH) + 2 * MARGIN
    height = TITLE_BAR + rows * LINE_HEIGHT + 2 * MARGIN - LINE_HEIGHT // 2
    seconds = round(recording.seconds)
    cores = "1 CPU core" if recording.cores == 1 else f"{recording.cores} CPU cores"
    name = f"{seconds // 60}:{seconds % 60:02d} min on {cores}"
    top = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img" font-family="{FONTS}" font-size="{FONT_SIZE}" fill="{TEXT}">',
        f"<title>{escape(recording.command)}: {name}, played in {_number(FRAMES * SECONDS_PER_FRAME)} s</title>",
        "<style>",
        "@keyframes hide{from,to{visibility:hidden}}",
        "@keyframes show{from,to{visibility:visible}}",
        "@media (prefers-reduced-motion:reduce){g{animation:none!important}}",
        "</style>",
        f'<rect width="{width}" height="{height}" rx="10" fill="{BAR}"/>',
        f'<path d="M0 {TITLE_BAR}H{width}V{height - 10}a10 10 0 0 1-10 10H10a10 10 0 0 1-10-10z" fill="{BACKGROUND}"/>',
        *(
            f'<circle cx="{MARGIN + 20 * place}" cy="{TITLE_BAR // 2}" r="6" fill="{colour}"/>'
            for place, colour in enumerate(BUTTONS)
        ),
        f'<text x="{width // 2}" y="{TITLE_BAR // 2 + 5}" text-anchor="middle" fill="{FAINT_TEXT}">{name}</text>',
    ]
    return "\n".join([*top, *_lines(frames, rows), "</svg>"]) + "\n"


def _lines(frames: list[Frame], rows: int) -> Iterable[str]:
    """Yield each line once for every stretch of frames in which it stays the same."""
    for row in range(rows):
        shown = [frame[row] if row < len(frame) else () for frame in frames]
        begin = 0
        for end in range(1, FRAMES + 1):
            if end < FRAMES and shown[end] == shown[begin]:
                continue
            if shown[begin]:
                yield _line(shown[begin], row, begin, end)
            begin = end


def _line(line: Line, row: int, begin: int, end: int) -> str:
    """Return a line that is seen in the frames from `begin` to before `end`.

    One that stays is hidden until it comes, and one that goes is shown while it is there; without animation, each is
    what it is at the end.
    """
    attributes = f' transform="translate({MARGIN} {TITLE_BAR + MARGIN + row * LINE_HEIGHT + FONT_SIZE // 2})"'
    start, length = (_number(count * SECONDS_PER_FRAME) for count in (begin, end - begin))
    if end < FRAMES:
        attributes += f' visibility="hidden" style="animation:show {length}s {start}s"'
    elif begin:
        attributes += f' style="animation:hide {start}s"'
    return f"<g{attributes}>{''.join(map(_text, line))}</g>"


def _text(run: Run) -> str:
    """Return a run at its column; its length is named, so that columns align in whatever font there is."""
    x, length = (_number(count * CELL_WIDTH) for count in (run.column, run.cells))
    size = f' textLength="{length}" lengthAdjust="spacingAndGlyphs"' if run.cells > 1 else ""
    return f'<text x="{x}"{size}{_look(run.style)}>{escape(run.text, quote=False)}</text>'


def _look(style: Style) -> str:
    if style == PLAIN:
        return ""
    looks = {
        f' fill="{style.colour}"': style.colour is not None,
        ' font-weight="bold"': style.is_bold,
        ' fill-opacity="0.65"': style.is_dim,
        ' font-style="italic"': style.is_italic,
        ' text-decoration="underline"': style.is_underlined,
    }
    return "".join(look for look, is_wanted in looks.items() if is_wanted)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
