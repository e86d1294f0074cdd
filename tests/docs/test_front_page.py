"""README stays short, says the same in both languages, and takes its figures from docs/benchmarks.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
MOST_LINES = 115
MOST_FIGURES = 8


def table_after(text: str, heading: str) -> list[str]:
    """Return the body rows of the table in the section of a heading."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def numbers(text: str) -> list[str]:
    """Return the numbers of a text that have a decimal point, a colon or a percent sign."""
    return re.findall(r"\d+(?:[.:]\d+)+|\d+(?= ?%)", text)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh-CN"])
def test_readme_is_short(text: str) -> None:
    assert len(text.splitlines()) <= MOST_LINES


def test_readme_shows_few_figures_and_all_of_them_stand_in_the_benchmarks() -> None:
    rows = table_after(ENGLISH, "What it reaches")
    assert 0 < len(rows) <= MOST_FIGURES
    shown = [(row, number) for row in rows for number in numbers(row)]
    assert shown
    assert [pair for pair in shown if pair[1] not in numbers(BENCHMARKS)] == []


def test_a_figure_that_the_benchmarks_lack_is_found() -> None:
    assert numbers("2.90 times (2.67 to 3.14), 55 %, 5:01 min, 135M") == [
        "2.90",
        "2.67",
        "3.14",
        "55",
        "5:01",
    ]
    assert "9.87" not in numbers(BENCHMARKS)


def test_both_languages_show_the_same_figures_and_commands() -> None:
    tables = [
        table_after(ENGLISH, "What it reaches"),
        table_after(CHINESE, "效果如何"),
    ]
    assert [sorted(numbers(row)) for row in tables[0]] == [sorted(numbers(row)) for row in tables[1]]
    commands = [
        [
            line.split(" #")[0].rstrip()
            for block in re.findall(r"^```(?:sh|python)\n(.*?)^```", text, re.M | re.S)
            for line in block.splitlines()
        ]
        for text in (ENGLISH, CHINESE)
    ]
    assert commands[0] == commands[1]
    assert commands[0]


def test_the_benchmarks_say_the_same_in_both_languages() -> None:
    chinese = (ROOT / "docs" / "benchmarks.zh-CN.md").read_text(encoding="utf-8")
    commands = [re.findall(r"`((?:python|tutelage|make) [^`]*)`", text) for text in (BENCHMARKS, chinese)]
    assert commands[0] == commands[1]
    assert commands[0]
