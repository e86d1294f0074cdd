"""Every error, warning, note, finding and ledger reason carries a code, and one table lists them all."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutelage.codes import all_codes, areas
from tutelage.config.recipe import Recipe
from tutelage.data.quality.rules import RULES
from tutelage.errors import TutelageError

SOURCE = Path(__file__).parents[1] / "src" / "tutelage"
# Whose first argument is a code.
CARRIERS = {
    "RecipeError",
    "DataError",
    "ModelError",
    "RunFolderError",
    "FetchError",
    "LanguageModelError",
    "NonFiniteError",
    "MemoryExhaustedError",
    "StorageError",
    "ExportError",
    "RowError",
    "UnfitError",
    "RequestError",
    "Wrong",
    "UnreadableReplyError",
    "PassingError",
    "_NotAskedError",
    "Message",
    "Finding",
    "setting_error",
    "note",
    "report_error",
}


def _calls(text: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CARRIERS and (name != "note" or getattr(node.func, "value", None)):
                yield node


def codes_in(text: str) -> Iterator[str]:
    """Yield the codes that some source gives; ValueError where a first argument is neither a code nor one's name."""
    for call in _calls(text):
        if not call.args:
            continue
        first = call.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            if first.value not in all_codes():
                raise ValueError(f"line {call.lineno}: {first.value!r} is no code")
            yield first.value
        elif not ast.unparse(first).endswith(
            ("code", "['code']", "['type']", "_code(fault)")
        ) and not _is_row_note(call):
            raise ValueError(f"line {call.lineno}: {ast.unparse(first)} is no code")


def _is_row_note(call: ast.Call) -> bool:
    """Tell whether this is the method of something that takes rows in, which is called note too."""
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "note"
        and ast.unparse(call.func.value) != "console"
    )


def test_every_error_names_a_code_of_the_table() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        list(codes_in(path.read_text(encoding="utf-8")))


def test_an_error_without_a_code_is_found() -> None:
    for broken in (
        'raise DataError("no such code", "x")',
        'raise DataError(f"{x} is wrong")',
        "DataError(message)",
    ):
        with pytest.raises(ValueError, match="is no code"):
            list(codes_in(broken))


def test_every_code_of_the_table_is_used() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "codes.py"
    )
    assert [code for code in all_codes() if f'"{code}"' not in sources] == []


def test_codes_are_an_area_and_words() -> None:
    for code, entry in all_codes().items():
        area, _, name = code.partition(".")
        assert area in areas()
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name), code
        assert entry.meaning.endswith(".")
        assert entry.rule is None or entry.rule in RULES


def test_an_error_has_its_code_beside_its_message() -> None:
    error = TutelageError("data.no_rows", "There is nothing.")
    assert (error.code, str(error)) == ("data.no_rows", "There is nothing.")


@pytest.mark.parametrize(
    ("tables", "code"),
    [
        ({"data": {"train_size": 0.9, "test_size": 0.9}}, "settings.shares_exceed_1"),
        ({"data": {"no_such": 1}}, "settings.unknown"),
        ({"no_such": {}}, "settings.unknown_table"),
        ({"training": {"seed": -1}}, "settings.invalid_value"),
        ({"training": {"class_weights": "balanced"}}, "settings.inactive"),
        ({"data": {"split": "stratified"}}, "settings.not_for_objective"),
    ],
)
def test_a_setting_at_fault_has_the_code_of_its_fault(tables: dict, code: str) -> None:
    from tutelage.config.recipe_file import check

    with pytest.raises(TutelageError) as raised:
        check(tables, {})
    assert raised.value.code == code
    assert check({}, {}) == Recipe()
