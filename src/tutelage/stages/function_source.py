"""What is recorded of a function of the user's own: its import path and the hash of its source."""

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from tutelage.run.functions import FunctionRecord

# A script may be imported as the module of a spawned process too.
SCRIPTS = ("__main__", "__mp_main__")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def describe_function(function: Any) -> FunctionRecord:
    """Return what is recorded of a function: its import path, or its file and name in a script, and its hash."""
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    qualname = getattr(function, "__qualname__", name)
    module = getattr(function, "__module__", None) or ""
    file = _file_of(function)
    path = f"{file if file and module in SCRIPTS else module}:{qualname}"
    if file and _is_in_module(function, module, qualname):
        text = _definition_in(Path(file), qualname)
    else:
        text = _text_of(function)
    sha256 = None if text is None else hashlib.sha256(text.encode()).hexdigest()
    return FunctionRecord(path=path, sha256=sha256, name=name)


def _file_of(function: Any) -> str | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # a built-in function, or an object that can be called
        return None
    return str(Path(file).absolute()) if file and Path(file).is_file() else None


def _is_in_module(function: Any, module: str, qualname: str) -> bool:
    """Tell whether a module holds a function under its name, as it does not hold a lambda or a local function."""
    try:
        return attrgetter(qualname)(sys.modules[module]) is function
    except (AttributeError, KeyError):
        return False


def _text_of(function: Any) -> str | None:
    """Return the source of a function that no module holds, None if that does not say all of what it does."""
    if not inspect.isfunction(function) or function.__closure__:
        return None
    try:
        return inspect.getsource(function)
    except OSError:
        return None


def _definition_in(file: Path, qualname: str) -> str | None:
    """Return the text of the definitions of a name in a file, without executing it; None if there is none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        nodes: list[ast.AST] = [ast.parse(text)]
    except (OSError, SyntaxError, ValueError):
        return None
    for name in qualname.split("."):
        inner = [node for outer in nodes for node in ast.walk(outer) if node not in nodes]
        nodes = [node for node in inner if isinstance(node, _DEFINITIONS) and node.name == name]
    return "\n".join(_lines_of(node, text.split("\n")) for node in nodes) or None


def _lines_of(node: Any, lines: Sequence[str]) -> str:
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))
