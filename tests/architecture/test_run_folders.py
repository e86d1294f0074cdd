"""Below `stages` values go in and come out: nothing there takes a run folder, a session or a run."""

import ast
from pathlib import Path

import pytest

import tutelage

ROOT = Path(tutelage.__file__).parent
# `stages`, what is above it, and `run`, which defines the folder.
FREE = ("__init__.py", "api.py", "cli/", "stages/", "run/")
OWNERS = {
    "RunFolder": "tutelage.run.folder",
    "ExportFolder": "tutelage.run.folder",
    "Session": "tutelage.stages.session",
    "Run": "tutelage.api",
}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
    if not (name := path.relative_to(ROOT).as_posix()).startswith(FREE)
}


def found_in(tree):
    """Return the lines of a file that annotate a parameter, a result or a field as one of the runs."""
    runs = OWNERS.keys() - others_in(tree)
    return [node.lineno for node in ast.walk(tree) for one in annotations_of(node) if names(one, runs)]


def others_in(tree):
    """Return what else a file calls so: a class of its own or of another module, such as a run of tokens."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if OWNERS.get(alias.name) != node.module)


def annotations_of(node):
    if isinstance(node, ast.arg | ast.AnnAssign):
        return [node.annotation] if node.annotation else []
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return [node.returns] if is_function and node.returns else []


def names(annotation, runs):
    """Tell whether an annotation names one of the runs, in quotes or behind its module too."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name) and node.id in runs:
            return True
        if isinstance(node, ast.Attribute) and node.attr in runs:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            quoted = type_in(node.value)
            if quoted is not None and names(quoted, runs):
                return True
    return False


def type_in(text):
    """Return the type that a text in an annotation stands for, None where it is mere words."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def imports_in(tree):
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if OWNERS.get(alias.name) == node.module
    ]


def test_nothing_below_the_stages_takes_a_run_folder_a_session_or_a_run():
    assert "training/saving.py" in TREES
    assert {name: lines for name, tree in TREES.items() if (lines := found_in(tree))} == {}


def test_nothing_below_the_stages_makes_itself_a_run_folder():
    assert {name: lines for name, tree in TREES.items() if (lines := imports_in(tree))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "def read(run: RunFolder): ...",
        "def read(run: 'RunFolder | None' = None): ...",
        "def read(*, folders: Mapping[str, ExportFolder]): ...",
        "from tutelage.api import Run\nasync def read(*runs: Run): ...",
        "class Export(Protocol):\n    def __call__(self, folder: 'folder.ExportFolder') -> None: ...",
        "def find() -> Iterator['Session']: ...",
        "@dataclass\nclass Inputs:\n    report: Callable[[Session], None]",
    ],
)
def test_the_check_catches_one_that_does(text):
    assert found_in(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "def read(run: Path, runs: list[EvaluatedRun]) -> Literal['Run `it` first.']: ...",
        "from tutelage.model.fused_attention import Run\ndef read(run: Run): ...",
    ],
)
def test_the_check_leaves_other_names_alone(text):
    assert not found_in(ast.parse(text))


def test_the_check_catches_one_that_is_imported():
    assert imports_in(ast.parse("def f():\n    from tutelage.run.folder import RunFolder, read_json"))
