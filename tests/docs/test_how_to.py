"""Every how-to page does what it says: its files, commands and cells are run in order, on a tiny model and small data.

A block of CSV, JSON or TOML is the file that the paragraph above it names last. A file of rows gets more rows like
those that the page shows.
"""

import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import CommandLine
from support.tiers import slow

from tutelage import api

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ("openai-file", "json-from-tickets", "classifier", "style", "chinese-data", "notebook", "book")
ROWS = 120
# Fields whose text tells one row from another.
PROMPTS = ("instruction", "prompt", "body", "question", "问题", "Text")
ENCODINGS = {"客服.csv": "gb18030"}
BLOCK = re.compile(r"^([^\n]*(?:\n[^\n]+)*)\n+```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([^`\s/]+\.(?:csv|jsonl?|toml))`")
TRAINING = {"training.max_steps": 2, "training.dtype": "float32"}
ANSWERS = {"evaluation.limit": 4, "evaluation.max_new_tokens": 4, "evaluation.general_text": "false"}


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the paragraph above each fenced block, its language and its text."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield found[1], found[2], found[3]


def varied(row: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a row like the one given, with a prompt of its own."""
    if "messages" in row:
        messages = [
            {**message, "content": f"{message['content']} {number}"} if message["role"] == "user" else message
            for message in row["messages"]
        ]
        return {**row, "messages": messages}
    [field] = row.keys() & {*PROMPTS}
    return {**row, field: f"{row[field]} {number}"}


def many(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [varied(rows[number % len(rows)], number) for number in range(ROWS)]


def written(name: str, text: str) -> str:
    """Return the text of a file that a page shows, with more rows if it holds rows."""
    if name.endswith(".csv"):
        rows = many([*csv.DictReader(io.StringIO(text))])
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        return table.getvalue()
    if name.endswith(".jsonl"):
        rows = many([json.loads(line) for line in text.splitlines()])
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if name.endswith(".json") and isinstance(shown := json.loads(text), list):
        return json.dumps(many(shown), ensure_ascii=False)
    return text


def commands(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def quick(words: list[str], model: Path) -> list[str]:
    """Return the words of a command with the tiny model in place of another, and little work."""
    verb = words[0]
    made = [*words]
    if "--model" in made:
        made[made.index("--model") + 1] = str(model)
    elif verb in ("run", "prepare", "check", "preview") and "model.adapter" not in " ".join(words):
        made += ["--model", str(model)]
    settings = dict(TRAINING) if verb in ("run", "train") else {}
    if verb in ("run", "evaluate") and not {"classify", "book-ch6"} & {*words}:
        settings |= ANSWERS
    for name, value in settings.items():
        made += ["--set", f"{name}={value}"]
    if verb == "serve":
        made += ["--dry-run"]  # it would go on until it is stopped
    return made


def run_command(tutelage: CommandLine, words: list[str], model: Path) -> None:
    program, *words = words
    assert program == "tutelage"
    target = words[words.index(">") + 1 :] if ">" in words else []
    done = tutelage(*quick(words[: words.index(">")] if target else words, model))
    assert done.code == 0, (words, done.err)
    if target:
        Path(target[0]).write_text(done.out, encoding="utf-8")


@pytest.mark.usefixtures("few_prompts", "in_this_process")
@pytest.mark.parametrize("name", [*map(slow, PAGES[2:]), *PAGES[:2]])
def test_a_page_does_what_it_says(
    tutelage: CommandLine, workplace: Path, model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shown = [*blocks(HOW_TO / f"{name}.md")]
    for paragraph, language, text in shown:
        if language in ("csv", "json", "toml"):
            file = FILE.findall(paragraph)[-1]
            (workplace / file).write_text(written(file, text), encoding=ENCODINGS.get(file, "utf-8"))
    finetune = api.finetune
    small = {"name_or_path": str(model), "max_steps": 2, "dtype": "float32", "limit": 4, "max_new_tokens": 4}

    def quick_finetune(rows: Any, **given: Any) -> api.Run:
        return finetune(rows, **{**given, **small, "general_text": False})

    monkeypatch.setattr(api, "finetune", quick_finetune)
    names: dict[str, Any] = {}
    for _, language, text in shown:
        if language == "python":
            exec(compile(text, name, "exec"), names)
        if language == "sh":
            for words in commands(text):
                run_command(tutelage, words, model)

    outputs = re.findall(r"output[= ]\"?(runs/[\w-]+)", "".join(text for _, _, text in shown))
    assert all((workplace / folder / "report.html").exists() for folder in outputs)
    assert outputs


def test_every_page_is_run() -> None:
    assert {page.stem for page in HOW_TO.glob("*.md")} == {*PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_show_the_same_files_and_commands(name: str) -> None:
    def code(page: Path) -> list[Any]:
        return [commands(text) if language == "sh" else text for _, language, text in blocks(page)]

    english = code(HOW_TO / f"{name}.md")
    assert english == code(HOW_TO / "zh-CN" / f"{name}.md")
    assert english


@pytest.mark.parametrize("page", sorted(HOW_TO.rglob("*.md")), ids=lambda page: str(page.relative_to(HOW_TO)))
def test_a_page_stays_short(page: Path) -> None:
    assert 40 <= len(page.read_text(encoding="utf-8").splitlines()) <= 85


def test_a_command_that_fails_is_found(tutelage: CommandLine, workplace: Path, model: Path) -> None:
    with pytest.raises(AssertionError):
        run_command(tutelage, ["tutelage", "run", "--data", "no.jsonl", "--output", "runs/no"], model)
