"""Rules of the design that no single room could hold by itself."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import tutelage
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import walk

ROOT = Path(tutelage.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in zip(NAMES, FILES, strict=True)}
LONGEST_FILE = 350

MACHINE_PATH = re.compile(r"(?<![\w.:/])/(home|root|work|tmp|Users|mnt|opt|srv|data)/|[A-Z]:\\\\")
HOSTS = re.compile(r"\b(localhost|127\.0\.0\.1|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+)\b")


def files_where(found):
    return {name for name, tree in TREES.items() if any(found(node) for node in ast.walk(tree))}


def calls(*wanted):
    def found(node):
        if not isinstance(node, ast.Call):
            return False
        called = node.func
        return (isinstance(called, ast.Attribute) and called.attr in wanted) or (
            isinstance(called, ast.Name) and called.id in wanted
        )

    return found


def imports(package):
    def found(node):
        if isinstance(node, ast.Import):
            return any(alias.name.split(".")[0] == package for alias in node.names)
        return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package

    return found


def test_models_and_tokenizers_are_loaded_in_one_place():
    allowed = {"model/loading.py", "model/gguf_conversion.py", "model/adapters.py"}
    assert files_where(calls("from_pretrained", "from_config")) <= allowed
    assert "model/loading.py" in files_where(calls("from_pretrained"))
    # The adapter is loaded onto a base by peft's own call, and by nothing of transformers.
    assert "model/adapters.py" not in files_where(imports("transformers"))


@pytest.mark.parametrize(
    ("package", "owners"),
    [
        ("peft", {"model/adapters.py"}),
        ("rich", {"cli/views/console.py"}),
        (
            "gguf",
            {
                "model/gguf_conversion.py",
                "model/gguf_bounds.py",
                "export/gguf_file.py",
                "export/gguf_metadata.py",
                "export/gguf_tokenizer.py",
            },
        ),
        ("altair", {"report/charts.py", "report/training_charts.py"}),
        ("vl_convert", {"report/svg.py"}),
        ("tomli_w", {"config/recipe_file.py"}),
        ("tomllib", {"config/recipe_file.py", "codes.py"}),
        ("platformdirs", {"system/fetching.py"}),
        ("httpx2", {"llm/language_models.py", "llm/server_responses.py"}),
        ("openai", set()),  # imported by its name, in llm/language_models.py, where it is wanted
        ("xllamacpp", set()),
        ("huggingface_hub", {"model/hub.py"}),
        (
            "subprocess",
            {
                "model/sources.py",
                "data/prompts/chat_templates.py",
                "export/verification.py",
                "export/converter.py",
                "report/svg.py",
                "system/platforms.py",
            },
        ),
        ("resource", {"system/platforms.py"}),
        ("psutil", {"system/platforms.py"}),
        ("ctypes", {"system/platforms.py"}),
        ("signal", {"__main__.py", "system/platforms.py", "system/interruption.py"}),
        ("filelock", {"run/lock.py", "model/conversions.py"}),
        ("fcntl", set()),
        ("pty", set()),
        ("pwd", set()),
        ("termios", set()),
        ("urllib", {"system/fetching.py", "llm/model_names.py", "generation/llama_cpp.py"}),
        ("socket", {"system/fetching.py", "serve/server.py"}),
        ("uvicorn", {"serve/server.py"}),
        ("starlette", {"serve/app.py", "serve/server.py"}),
        ("datasets", {"data/sources/hub.py"}),
        ("pyarrow", {"data/sources/arrow_rows.py", "data/sources/arrow_values.py", "data/sources/tables.py"}),
        ("regex", {"text/patterns.py"}),
        ("jsonschema", {"evaluation/metrics/json_schemas.py", "evaluation/metrics/valid_json.py"}),
        ("pickle", set()),
        ("requests", set()),
    ],
)
def test_each_outside_thing_has_one_owner(package, owners):
    assert files_where(imports(package)) <= owners


def test_chat_templates_are_rendered_in_one_place():
    assert files_where(calls("apply_chat_template")) == set()
    assert files_where(imports("jinja2")) == {"report/page.py"}
    assert files_where(calls("render_template")) == {
        "data/prompts/chat_templates.py",
        "data/prompts/prompts.py",
        "export/reload.py",
    }


# Of os, signal and subprocess.
NOT_ON_WINDOWS = re.compile(
    r"SIG(ALRM|BUS|CHLD|CONT|HUP|KILL|PIPE|QUIT|STOP|TSTP|USR[12]|WINCH)|ITIMER_\w+|O_(DIRECTORY|NOFOLLOW|NONBLOCK|SYNC)"
    r"|[gs]ete?[ug]id|f?chown|fork(pty)?|killpg|mkfifo|posix_spawn|pread|pwrite|getppid|sched_\w+|setitimer"
    r"|setsid|statvfs|sysconf|uname|wait[34]|preexec_fn|start_new_session|pthread_\w+"
)


def of_posix_alone(node):
    used = (
        node.attr if isinstance(node, ast.Attribute) else node.arg if isinstance(node, ast.keyword) else None
    )
    return used is not None and NOT_ON_WINDOWS.fullmatch(used) is not None


def test_what_windows_lacks_is_used_in_one_place():
    # The second asks whether it is there.
    assert files_where(of_posix_alone) <= {"system/platforms.py", "system/autotune.py"}


@pytest.mark.parametrize(
    "text", ["os.fork()", "signal.SIGKILL", "run(a, start_new_session=True)", "os.O_NOFOLLOW"]
)
def test_the_check_for_what_windows_lacks_catches_it(text):
    assert any(of_posix_alone(node) for node in ast.walk(ast.parse(text)))


def test_nothing_becomes_float64_on_the_device():
    """The GPU of an Apple processor has none."""
    assert files_where(double_on_device) == set()


def test_the_check_for_float64_on_the_device_catches_one():
    assert any(double_on_device(node) for node in ast.walk(ast.parse("x.double().cpu()")))
    assert not any(double_on_device(node) for node in ast.walk(ast.parse("x.cpu().double()")))


def double_on_device(node):
    return calls("cpu")(node) and calls("double")(node.func.value)


def test_printing_is_done_in_one_place():
    assert files_where(calls("print")) == {"cli/views/console.py"}

    def writes_to_a_stream(node):
        return (
            isinstance(node, ast.Attribute)
            and node.attr in ("stdout", "stderr")
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        )

    assert files_where(writes_to_a_stream) <= {"cli/views/console.py", "system/streams.py"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_can_be_read_in_one_sitting(name):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_it_is_for_and_is_named_for_it(name):
    assert ast.get_docstring(TREES[name])
    assert not {"utils", "util", "helpers", "helper", "manager", "common", "misc"} & set(
        re.split(r"[/_.]", name)
    )


def test_nothing_names_a_path_or_a_host_of_some_machine():
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in ROOT.rglob("*")
        if path.suffix in (".py", ".html", ".css", ".json", ".toml")
    }
    assert {name: found[0] for name, text in texts.items() if (found := MACHINE_PATH.search(text))} == {}
    named = {name: found[0] for name, text in texts.items() if (found := HOSTS.search(text))}
    # They speak of the loopback, and of no machine.
    assert named.keys() == {
        "llm/model_names.py",
        "system/fetching.py",
        "cli/commands/serve.py",
        "serve/auth.py",
    }


@pytest.mark.parametrize(
    "text",
    ["'/home/somebody/data'", '"/tmp/x"', "see /wor" + "k/a", "open('/roo" + "t/x')", "'C:\\\\\\\\models'"],
)
def test_the_check_for_machine_paths_catches_one(text):
    assert MACHINE_PATH.search(text)


SETTINGS = [name for name, _, _ in walk(Recipe())]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_read_by_something(name):
    assert readers_of(name)


def test_the_check_for_readers_catches_a_setting_that_nothing_reads():
    assert not readers_of("training.gradient_checkpointing_ratio")


def readers_of(name):
    """Return the files outside the declaration that read an attribute of the setting's name."""
    key = name.split(".")[1]
    return {path for path, read in attributes_read().items() if key in read} - {
        path for path in TREES if path.startswith("config/recipe")
    }


@cache
def attributes_read():
    """Return the names of the attributes that each file reads."""
    return {
        path: {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        }
        for path, tree in TREES.items()
    }


def test_no_module_does_anything_when_it_is_imported():
    quiet = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    # The verbs are registered in the first, and the others are where a program begins.
    allowed = {
        "cli/main.py",
        "__main__.py",
        "data/prompts/template_process.py",
        "system/child_process.py",
        "export/reload.py",
        "objectives/classification/reload.py",
        "report/svg.py",
    }
    loud = {
        name
        for name, tree in TREES.items()
        for node in tree.body
        if not isinstance(node, quiet) and not _is_docstring_or_type_import(node)
    }
    assert loud <= allowed | REGISTERS_ON_IMPORT


# The name of the tree's attention is registered with transformers where it is defined.
REGISTERS_ON_IMPORT = {"model/tree_attention.py"}


def _is_docstring_or_type_import(node):
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
