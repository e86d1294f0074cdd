"""Faults of disk and memory that come from inside of libraries, and processes of users without a home."""

import errno
import math
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors import SafetensorError
from support.children import run
from support.interrupted import check_it_ends_as, made_by, words
from support.tiers import slow

import tutelage
from tutelage.errors import MemoryExhaustedError, StorageError
from tutelage.system.child_process import raise_if_out_of_memory
from tutelage.system.storage import storage_faults
from tutelage.system.system_errors import is_short_of_memory, system_refusal

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("at_home")]

NO_SPACE = os.strerror(errno.ENOSPC)
# How writers in Rust, C++ and Python say that the disk is full.
SAYINGS = [
    Exception(f"{NO_SPACE} (os error 28)"),  # tokenizers
    RuntimeError(
        f'Error while serializing: IoError(Os {{ code: 28, kind: StorageFull, message: "{NO_SPACE}" }})'
    ),
    OSError(f"[Errno 28] Error writing bytes to file. Detail: [errno 28] {NO_SPACE}"),  # pyarrow
    ValueError("vl-convert: File too large (os error 27)"),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
]


@pytest.mark.parametrize("fault", SAYINGS, ids=range(len(SAYINGS)))
def test_a_full_disk_is_known_whoever_says_it(fault, tmp_path):
    with pytest.raises(StorageError) as told, storage_faults(tmp_path / "file"):
        raise fault
    assert (told.value.code, told.value.path) == ("storage.write_failed", tmp_path / "file")


def raised_from(fault, cause):
    fault.__cause__ = cause
    return fault


SHORT = [
    MemoryError(),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    raised_from(
        ImportError("The `scipy` install you are using seems to be broken"),
        ImportError("_highs.so: failed to map segment from shared object"),
    ),
    RuntimeError("can't start new thread"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("could not create a primitive"),
    SafetensorError("Error while deserializing header: Cannot allocate memory (os error 12)"),
]


@pytest.mark.parametrize("fault", SHORT, ids=range(len(SHORT)))
def test_short_memory_is_known_whoever_says_it(fault, home, tmp_path):
    assert is_short_of_memory(fault)
    with_fault = patch("tutelage.data.sources.sources.find_source", side_effect=fault)
    ended = run(["check", "--data", "my.json"], tmp_path / "said.txt", around=lambda: with_fault)
    assert (ended.code, "error[device.out_of_memory]" in ended.said) == (2, True), ended.said


OTHERS = [
    ImportError("No module named 'x'"),
    RuntimeError("shapes differ"),
    RuntimeError("could not create a primitive descriptor for a matmul primitive"),
    OSError(errno.ENOSPC, NO_SPACE),
    SafetensorError("Error while deserializing header: No such file or directory (os error 2)"),
]


@pytest.mark.parametrize("fault", OTHERS)
def test_other_faults_are_not_taken_for_short_memory(fault):
    assert not is_short_of_memory(fault)


def test_a_verification_without_memory_says_nothing_about_the_export():
    for code, said in [
        (-9, ""),
        (1, "RuntimeError: can't start new thread"),
        (-6, "memory allocation of 2 bytes failed"),
    ]:
        with pytest.raises(MemoryExhaustedError):
            raise_if_out_of_memory(code, said)
    raise_if_out_of_memory(1, "KeyError: 'unknown_model'")


LIBRARIES_ALONE = 1_000_000  # KiB of address space, in which torch ends the process by SIGABRT


def test_a_process_whose_limit_does_not_hold_the_libraries_ends_by_name(straight):
    line = f'ulimit -v {LIBRARIES_ALONE}; exec "$@"'
    asked = [sys.executable, "-m", "tutelage", "generate", "straight", "Name a fruit."]
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    ended = subprocess.run(
        ["sh", "-c", line, "sh", *asked], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "error[device.out_of_memory]" in ended.stderr


@pytest.mark.parametrize("left", ["address_space_left", slow("available_memory_bytes")])
@pytest.mark.parametrize("after", [0, 1], ids=["merged", "own"])
def test_an_export_without_room_for_a_model_ends_by_name_and_leaves_nothing(
    home, straight, tmp_path, left, after
):
    root, said = tmp_path / "run", tmp_path / "said.txt"
    shutil.copytree(home / "straight", root)
    asked = []

    def room():
        asked.append(1)
        return 2**40 if len(asked) <= after else 1_000

    ended = run(
        ["export", root, "--to", "hf"], said, around=lambda: patch(f"tutelage.model.loading.{left}", room)
    )
    assert ended.code == 2, ended.said
    assert "error[train.not_enough_memory]" in ended.said
    assert [*root.rglob(".*")] == []
    assert not (root / "export").exists()


def test_a_limit_of_address_space_is_seen():
    program = (
        "import resource\nfrom tutelage.system.platforms import address_space_left\nprint(address_space_left())\n"
        "resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))\nprint(address_space_left())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    without, within = map(float, told.stdout.split())
    assert without == math.inf
    assert 5e8 < within < 1e9


@pytest.mark.parametrize("fault", [ValueError("no such layer"), RuntimeError("os error"), MemoryError()])
def test_other_faults_are_not_taken_for_one_of_the_disk(fault, tmp_path):
    assert system_refusal(fault) is None
    with pytest.raises(type(fault)), storage_faults(tmp_path / "file"):
        raise fault


def saying(fault):
    def refuse(*_, **__):
        raise fault

    return refuse


# Where a library writes or computes, by stage; what it raises; and the code and exit code that come of it.
FULL = SAYINGS[0]
SHORT = torch.OutOfMemoryError("CUDA out of memory.")
STAGES = {
    "checkpoint": ("peft.peft_model.safe_save_file", SAYINGS[1], "storage.write_failed", 4),
    "tokenizer": ("transformers.PreTrainedTokenizerBase.save_pretrained", FULL, "storage.write_failed", 4),
    "samples and answers": ("tutelage.generation.generate.make_batch", SHORT, "device.out_of_memory", 2),
    "references": ("tutelage.model.answer_log_probs.target_log_probs", SHORT, "device.out_of_memory", 2),
    "validation": ("tutelage.training.validation.target_log_probs", MemoryError(), "device.out_of_memory", 2),
    "figures": ("tutelage.evaluation.evaluate.compare_scores", MemoryError(), "device.out_of_memory", 2),
    "charts": ("tutelage.report.charts._svg", MemoryError(), "device.out_of_memory", 2),
    "page": ("tutelage.report.page.render", MemoryError(), "device.out_of_memory", 2),
}


@pytest.mark.parametrize("stage", [*[*STAGES][:2], *map(slow, [*STAGES][2:])])
def test_a_fault_inside_a_library_ends_a_run_by_name_and_the_next_call_goes_on(straight, tmp_path, stage):
    place, fault, code, exit_code = STAGES[stage]
    try:
        patched = patch(place, saying(fault))
        patched.start()
        patched.stop()
    except AttributeError as missing:
        pytest.fail(f"nothing is called there any more: {missing}")
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=lambda: patch(place, saying(fault)))
    assert ended.code == exit_code, ended.said
    assert f"error[{code}]" in ended.said
    assert "internal.unexpected" not in ended.said
    assert not (tmp_path / "run" / ".lock").exists()
    check_it_ends_as(straight, tmp_path / "run", tmp_path / "said.txt")


@contextmanager
def without_home():
    """Be a process whose user has no entry in the list of users, and no HOME."""

    def nobody(*_):
        raise KeyError("uid not found")

    names = ("HOME", "XDG_CACHE_HOME", "HF_HOME")
    with patch("pwd.getpwuid", nobody), patch("pwd.getpwnam", nobody), patch.dict(os.environ):
        for name in names:
            os.environ.pop(name, None)
        yield


def test_a_run_without_a_home_comes_to_its_end(straight, tmp_path):
    ended = run(words(tmp_path / "run"), tmp_path / "said.txt", around=without_home)
    assert ended.code == 0, ended.said
    assert made_by(tmp_path / "run") == straight[0]


PROGRAM = """
import os, pwd, sys
def nobody(*_): raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = nobody
for name in ("HOME", "XDG_CACHE_HOME", "TUTELAGE_CACHE", "HF_HOME"): os.environ.pop(name, None)
from tutelage.cli.main import main
main(sys.argv[1:])
"""


def in_a_fresh_process(*asked):
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, *map(str, asked)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_libraries_are_imported_without_a_home(home):
    """nltk and altair end at import where no home is known; a child that was forked has imported them already."""
    ended = in_a_fresh_process("data", "stats", "my.json")
    assert ended.returncode == 0, ended.stderr
    program = PROGRAM.replace("from tutelage.cli.main import main\nmain(sys.argv[1:])", "")
    program += "from tutelage.system.runtime import settle_process\nsettle_process()\n"
    program += "import tutelage.evaluation.metrics.rouge_l, tutelage.report.charts\n"
    environment = os.environ | {"PYTHONPATH": str(Path(tutelage.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_needs_the_cache_names_the_variables_that_say_where_it_is(home, tmp_path):
    (tmp_path / "file").write_text("")
    with patch.dict(os.environ, TUTELAGE_CACHE=str(tmp_path / "file" / "cache")):
        ended = run(
            [
                "prepare",
                "--data",
                "my.json",
                "--output",
                tmp_path / "run",
                "--set",
                "model.name_or_path=tiny",
            ],
            tmp_path / "said.txt",
            around=needing_the_cache,
        )
    assert ended.code == 4, ended.said
    assert "error[storage.cache_not_writable]" in ended.said
    assert "HOME" in ended.said
    assert "TUTELAGE_CACHE" in ended.said


@contextmanager
def needing_the_cache():
    """Let the rows be some that are kept in the cache, as fetched ones are."""
    from tutelage.system.fetching import user_cache
    from tutelage.system.storage import write_atomically

    def keep(*_, **__):
        write_atomically(user_cache() / "data" / "one", b"rows")

    with patch("tutelage.data.sources.sources.find_source", keep):
        yield
