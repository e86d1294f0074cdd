"""Slow tests are further variants alone, and together the commands of CI and of the Makefile run every test."""

import ast
import itertools
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
MARKERS = ("end_to_end", "nightly", "forks", "slow")
TEST_FILES = sorted((CHECKOUT / "tests").rglob("test_*.py"))


def marks(node):
    """The markers that an expression applies: @pytest.mark.NAME, slow(...), and pytest.param(..., marks=...)."""
    return {
        found.attr if isinstance(found, ast.Attribute) else "slow"
        for found in ast.walk(node)
        if (isinstance(found, ast.Attribute) and found.attr in MARKERS and is_pytest_mark(found.value))
        or (isinstance(found, ast.Call) and isinstance(found.func, ast.Name) and found.func.id == "slow")
    }


def is_pytest_mark(node):
    return isinstance(node, ast.Attribute) and node.attr == "mark"


def is_parametrize(node):
    return isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "parametrize"


def is_slow(decorator):
    """Whether it marks the whole test: by name, or as the marker of each value of a literal list."""
    if not is_parametrize(decorator):
        return "slow" in marks(decorator)
    values = decorator.args[1]
    return isinstance(values, ast.List | ast.Tuple) and all("slow" in marks(value) for value in values.elts)


def tier_faults(text):
    """What a file of tests does that a slow test may not."""
    if "slow" not in text:
        return []
    tree = ast.parse(text)
    of_file = set().union(*(marks(node) for node in tree.body if isinstance(node, ast.Assign)))
    tests = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    of_tests = {test.name: set().union(*map(marks, test.decorator_list)) for test in tests}
    faults = [
        f"{name} is slow and nightly"
        for name, found in of_tests.items()
        if {"slow", "nightly"} <= found | of_file
    ]
    is_marked = any("slow" in found for found in of_tests.values())
    if "slow" in of_file or (is_marked and all(any(map(is_slow, test.decorator_list)) for test in tests)):
        faults.append("no test is left that is not slow")
    return faults


def test_every_file_with_slow_tests_keeps_one_that_is_not():
    faults = {
        path.relative_to(CHECKOUT).as_posix(): tier_faults(path.read_text(encoding="utf-8"))
        for path in TEST_FILES
        if path != Path(__file__)  # it shows, as text, what must not be
    }
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("@pytest.mark.slow\ndef test_a(): ...", ["no test is left that is not slow"]),
        ("pytestmark = pytest.mark.slow\ndef test_a(): ...", ["no test is left that is not slow"]),
        (
            "@pytest.mark.parametrize('a', [slow(1), pytest.param(2, marks=pytest.mark.slow)])\ndef test_a(a): ...",
            ["no test is left that is not slow"],
        ),
        ("@pytest.mark.parametrize('a', [1, slow(2)])\ndef test_a(a): ...", []),
        ("@pytest.mark.slow\ndef test_a(): ...\ndef test_b(): ...", []),
        (
            "@pytest.mark.slow\n@pytest.mark.nightly\ndef test_a(): ...\ndef test_b(): ...",
            ["test_a is slow and nightly"],
        ),
        ("pytestmark = [pytest.mark.forks]\n@pytest.mark.slow\ndef test_a(): ...\ndef test_b(): ...", []),
    ],
)
def test_a_slow_test_that_is_alone_or_nightly_is_caught(text, faults):
    assert tier_faults(text) == faults


def recipe_of(target, makefile):
    """The lines under a target of the Makefile, and the targets that it needs."""
    found = re.search(rf"^{target}:(.*)\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    return found[2], [name for name in found[1].split() if not name.startswith(".")]


def marker_expressions(targets, makefile):
    found = []
    for target in targets:
        lines, needed = recipe_of(target, makefile)
        found += [*re.findall(r'-m "([^"]*)"', lines), *marker_expressions(needed, makefile)]
    return found


def left_out(expressions):
    """The combinations of markers that no expression selects."""
    combinations = [
        dict(zip(MARKERS, values, strict=True))
        for values in itertools.product([False, True], repeat=len(MARKERS))
    ]
    return [
        {name for name, is_set in one.items() if is_set}
        for one in combinations
        if not any(eval(expression, {}, one) for expression in expressions)
    ]


def test_ci_runs_every_test_that_is_not_nightly_and_test_all_runs_every_test():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (test|test-slow)$", (CHECKOUT / ".ci/run").read_text(), re.MULTILINE)
    assert targets == ["test", "test-slow"]
    assert all("nightly" in found for found in left_out(marker_expressions(targets, makefile)))
    assert left_out(marker_expressions(["test-all"], makefile)) == []
    assert {"slow"} in left_out(marker_expressions(["test"], makefile))
