"""No name of the program has a word for which the glossary has the field's own (docs/glossary.toml)."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import walk

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "tutelage"
GLOSSARY = tomllib.loads((ROOT / "docs" / "glossary.toml").read_text(encoding="utf-8"))
INSTEAD = [word for term in GLOSSARY["terms"] for word in term["instead"]]


def words_of(name: str) -> str:
    """Return a name as words between underscores: `JudgeSession` and `judge-session` become `_judge_session_`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return f"_{'_'.join(words).lower()}_"


def replaced_words(name: str) -> list[str]:
    return [word for word in INSTEAD if f"_{word}_" in words_of(name)]


def names_in(source: str) -> Iterator[str]:
    """Yield public functions and classes, and the fields of classes as `Class.field`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield node.name
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            yield from (
                f"{node.name}.{field.target.id}"
                for field in node.body
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and field.target.id[0] != "_"
            )


def parameters_in(source: str) -> Iterator[str]:
    """Yield the parameters of public functions, which are the options of a command that are its own."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
            yield from (argument.arg for argument in (*node.args.args, *node.args.kwonlyargs))


def all_names() -> Iterator[str]:
    """Yield every name of the program as `module:name`, its modules, settings and options included."""
    for path in sorted(SOURCES.rglob("*.py")):
        module = path.relative_to(SOURCES).with_suffix("").as_posix()
        yield f"{module}:{path.parent.name if path.stem == '__init__' else path.stem}"
        yield from (f"{module}:{name}" for name in names_in(path.read_text(encoding="utf-8")))
    yield from (f"settings:{name}" for name, _, _ in walk(Recipe()))
    for path in sorted((SOURCES / "cli" / "commands").rglob("*.py")):
        module = path.relative_to(SOURCES).with_suffix("").as_posix()
        yield from (f"{module}:--{name}" for name in parameters_in(path.read_text(encoding="utf-8")))


def test_names_use_the_words_of_the_glossary():
    found = {name: words for name in all_names() if (words := replaced_words(name.split(":")[1]))}
    assert not {name: words for name, words in found.items() if name not in GLOSSARY["exceptions"]}


def test_every_exception_is_a_name_and_has_a_reason():
    names = set(all_names())
    assert all(name in names and len(reason) > 20 for name, reason in GLOSSARY["exceptions"].items())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def refuse_it(): ...", "refuse_it"),
        ("class JudgeSitting: ...", "JudgeSitting"),
        ("class Row:\n    made_of: str", "Row.made_of"),
        ("class Row:\n    def told(self): ...", "told"),
    ],
)
def test_a_replaced_word_is_found(source, name):
    assert name in names_in(source)
    assert replaced_words(name)
    assert not replaced_words("opened_by_hand")  # a part of another word is none


RENAMED = tomllib.loads((ROOT / "docs" / "decisions" / "0067-names.toml").read_text(encoding="utf-8"))


def test_the_renamed_modules_are_where_the_table_says():
    modules = {path.relative_to(SOURCES).with_suffix("").as_posix() for path in SOURCES.rglob("*.py")}
    assert set(RENAMED["modules"].values()) <= modules
    assert not set(RENAMED["modules"]) & modules


def test_every_new_name_of_the_table_is_in_use():
    paths = [path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    used = {word for path in paths for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    new = [*RENAMED["names"].values(), *RENAMED["names_in_modules"].values()]
    assert [name for name in new if name.rpartition(".")[2] not in used] == []
