"""The exit codes of the pages and of --help are those of the one table."""

import re
from pathlib import Path

import pytest
from support.command_line import CommandLine

from tutelage import errors
from tutelage.cli.main import app
from tutelage.errors import EXIT_CODES, exit_codes_of

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
FOLDERS = [GUIDE, GUIDE / "zh-CN"]
LINE = re.compile(r"^(?:Exit codes: |退出码：)(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
VERBS = [name for name in app.resolved_commands() if not name.startswith("-")]


def codes_in(sentence: str) -> list[int]:
    """Return the numbers that begin the parts of a sentence."""
    return [int(code) for code in re.findall(r"(?:^|[,，])\s*(\d+)\s", sentence)]


def codes_in_table(page: str) -> list[int]:
    return [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]


def test_the_table_has_every_code_of_the_errors_once() -> None:
    named = {
        value
        for name, value in vars(errors).items()
        if re.fullmatch(r"EXIT_[A-Z_]+", name) and type(value) is int
    }
    assert {0, *named} == {*EXIT_CODES}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TutelageError)
    ]
    assert {kind.exit_code for kind in kinds} <= {*EXIT_CODES}


@pytest.mark.parametrize("folder", FOLDERS, ids=["en", "zh-CN"])
def test_the_index_of_the_guide_lists_every_code(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert codes_in_table(page) == [*EXIT_CODES]


@pytest.mark.parametrize("folder", FOLDERS, ids=["en", "zh-CN"])
@pytest.mark.parametrize("verb", VERBS)
def test_the_page_of_a_command_lists_its_codes(folder: Path, verb: str) -> None:
    [line] = LINE.findall((folder / f"{verb}.md").read_text(encoding="utf-8"))
    assert codes_in(line) == [*exit_codes_of(verb)]


@pytest.mark.parametrize("folder", FOLDERS, ids=["en", "zh-CN"])
def test_no_other_page_has_a_list_of_its_own(folder: Path) -> None:
    others = {page.stem for page in folder.glob("*.md")} - {*VERBS, "README"}
    assert not [name for name in others if LINE.search((folder / f"{name}.md").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_lists_the_codes_of_the_command(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    shown = " ".join(CommandLine(capsys)(*filter(None, [verb]), "--help").out.split())
    codes = exit_codes_of(verb) if verb else EXIT_CODES
    assert codes_in(shown.partition("Exit codes: ")[2]) == [*codes]


def test_a_code_that_a_page_lacks_is_found() -> None:
    assert codes_in("0 done, 2 usage, data or settings, 4 storage, 75 interrupted.") != [
        *exit_codes_of("evaluate")
    ]
    assert codes_in("0 完成，2 用法、数据或设置有误，5 评委不可信。") == [0, 2, 5]
