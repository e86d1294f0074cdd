"""Where a function of the user's own stands: its import path, the hash of its source, and how it is imported again.

Before anything of a file is executed, the definition in it is held against the hash that the run recorded.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from pathlib import Path
from typing import Any

from tutelage.errors import RunFolderError, TutelageError
from tutelage.run.folder import RunFolder
from tutelage.run.functions import FunctionRecord

# A script may be imported as the module of a spawned process too.
SCRIPTS = ("__main__", "__mp_main__")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTED_NOW: ContextVar[str | None] = ContextVar("imported_now", default=None)


def describe_function(function: Any) -> FunctionRecord:
    """Return what is recorded of a function: where it is, the hash of its source, and why it is only here if it is."""
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    qualname = getattr(function, "__qualname__", name)
    module = getattr(function, "__module__", None) or ""
    file = _file_of(function)
    only_here = _why_only_here(function, module, qualname, file)
    path = f"{file if file and module in SCRIPTS else module}:{qualname}"
    text = _definition_in(Path(file), qualname) if file and not only_here else _text_of(function)
    if text is None and not only_here:
        only_here = "its file does not define it under its name"
    sha256 = None if text is None else hashlib.sha256(text.encode()).hexdigest()
    return FunctionRecord(path=path, sha256=sha256, name=name, file=file, only_here=only_here)


def import_function(record: FunctionRecord, run: RunFolder) -> Callable[..., Any]:
    """Import a recorded function, once the definition in its file is known to be the recorded one."""
    module, _, qualname = record.path.rpartition(":")
    file = Path(record.file or "")
    if record.only_here or not record.file:
        raise RunFolderError(
            "functions.not_importable",
            f"{run.root} uses the function {record.path}, which only the program that gave it has:"
            f" {record.only_here}. {_ways_out(run)}",
        )
    if not file.is_absolute() or file.resolve().is_relative_to(run.root.resolve()):
        raise RunFolderError(
            "functions.not_importable",
            f"{run.root} uses the function {record.path} of {file}, and nothing in a run folder is executed."
            f" {_ways_out(run)}",
        )
    text = _definition_in(file, qualname)
    if text is None or hashlib.sha256(text.encode()).hexdigest() != record.sha256:
        what = "is not there" if text is None else "has changed since it was recorded"
        raise RunFolderError(
            "functions.changed",
            f"{run.root} uses the function {record.path}, which {what} in {file}. Put it back as it was. If not:"
            f" {_ways_out(run)}",
        )
    try:
        with _importing(record, _import_root(file, module)):
            held = _import_script(file) if module == record.file else importlib.import_module(module)
            found = attrgetter(qualname)(held)
        if Path(held.__file__ or "").resolve() != file.resolve():
            raise ImportError(f"another {module} is loaded, from {held.__file__}")
        if not callable(found):
            raise TypeError(f"{qualname} cannot be called")
    except TutelageError:
        raise
    except (Exception, SystemExit) as fault:
        raise RunFolderError(
            "functions.import_failed",
            f"{run.root} uses the function {record.path}, which cannot be imported from {file}:"
            f" {type(fault).__name__}: {fault}. Correct that. If not: {_ways_out(run)}",
        ) from fault
    return found


def refuse_in_import() -> None:
    """Stop a training that begins only because the script that makes it is imported for one of its functions."""
    path = _IMPORTED_NOW.get()
    if path is not None:
        raise RunFolderError(
            "functions.import_failed",
            f"{path} cannot be imported, since its file calls tutelage.finetune as it is imported. Put the call under"
            ' `if __name__ == "__main__":`.',
        )


def _file_of(function: Any) -> str | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # a built-in function, or an object that can be called
        return None
    return str(Path(file).absolute()) if file and Path(file).is_file() else None


def _why_only_here(function: Any, module: str, qualname: str, file: str | None) -> str | None:
    """Say why no other process can import a function, None if one can."""
    if "<lambda>" in qualname:
        return "it is a lambda"
    if "<locals>" in qualname:
        return "it is defined inside another function"
    if file is None:
        return "its source is in no file"
    try:
        is_there = attrgetter(qualname)(sys.modules[module]) is function
    except (AttributeError, KeyError):
        is_there = False
    return None if is_there else f"{module} does not hold it under its name"


def _text_of(function: Any) -> str | None:
    """Return the source of a function that cannot be imported, None if that does not say all of what it does."""
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


def _ways_out(run: RunFolder) -> str:
    return (
        f"Call tutelage.finetune(..., output={str(run.root)!r}) in that program again, or begin a new run with a"
        f" function that stands in a module; to evaluate without a metric, remove its entry from {run.functions}."
    )


def _import_root(file: Path, module: str) -> Path:
    """Return the folder that has to be searched for a module to be found in a file; for a script its own."""
    if module == str(file):
        return file.parent
    root = file.parents[module.count(".") + (file.name == "__init__.py")]
    found = root.joinpath(*module.split("."))
    if file not in (found.with_name(f"{found.name}.py"), found / "__init__.py"):
        raise ImportError(f"{file} is not where the module {module} stands")
    return root


@contextmanager
def _importing(record: FunctionRecord, root: Path) -> Iterator[None]:
    """Search a folder first while something is imported."""
    token = _IMPORTED_NOW.set(record.path)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        _IMPORTED_NOW.reset(token)


def _import_script(file: Path) -> Any:
    """Execute a script as a module, so that what stands under `if __name__ == "__main__":` is left out."""
    name = f"_script_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
