"""The table of docs/reliability.md, with what the tests find here and now.

python -m benchmarks.reliability            # what `make test` runs, about three minutes
python -m benchmarks.reliability --nightly  # 200 kills and every operation too, up to an hour
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

STORAGE, FAULTS = "tests/system/test_storage.py", "tests/faults"
CHECKPOINT, DAMAGED = "tests/training/test_checkpoint.py", "tests/training/test_damaged_checkpoints.py"
MEMORY = "tests/training/test_memory.py"
ELSEWHERE = (
    "tests/system/test_fetching.py",
    "tests/data/prompts/test_chat_templates.py",
    "tests/model/test_hostile_files.py",
    "tests/cli/test_hostile_names.py",
    "tests/report/test_page.py",
)
FILES = (STORAGE, CHECKPOINT, DAMAGED, MEMORY, FAULTS, *ELSEWHERE)


@dataclass(frozen=True)
class Row:
    """One property, and parts of the names of the tests that hold it."""

    number: str
    promise: str
    tests: tuple[str, ...]


ROWS = (
    Row(
        "1",
        "a resumed training is bitwise the straight one",
        ("straight_training", "resumed_training", "straight_one"),
    ),
    Row("2", "200 kills at random instants", ("two_hundred_kills",)),
    Row(
        "3", "a crash before any operation on the disk", ("crash_before_any", "that_crashed", "half_removed")
    ),
    Row("4", "a power cut", ("power_cut",)),
    Row(
        "5",
        "a full disk",
        (
            "a_write_that_fails",
            "no_room",
            "without_room",
            "disk_is_full",
            "operation_that_fails",
            "cannot_be_written",
            "really_full",
            "room_that_comes",
            "nobody_can_take",
        ),
    ),
    Row(
        "6",
        "faults that pass",
        ("a_fault_that_passes", "now_and_then", "a_fault_that_stays", "is_not_noticed"),
    ),
    Row("7", "what would stop a run later is found first", ("what_would_stop",)),
    Row(
        "8",
        "damaged checkpoints",
        (
            "damage_to",
            "every_damage",
            "flipped_bit",
            "swapped_and_added",
            "not_believed",
            "is_refused_though",
            "do_not_fit",
        ),
    ),
    Row("9", "no whole checkpoint", ("no_checkpoint_is_whole", "without_a_whole_checkpoint")),
    Row("12", "Ctrl-C and SIGTERM", ("a_signal", "asked_to_stop", "second_signal")),
    Row("14", "two runs in one folder", ("two_runs", "lock_of_another")),
    Row("15", "a clock that jumps", ("the_clock", "dates_of_files")),
    Row("16", "a loss that is no number", ("no_number",)),
    Row("17", "short memory", ("trees_are_halved", "gradients_stay", "smallest_tree", "no_memory_is_known")),
    Row("18", "changed inputs", ("what_changed", "changes_are_refused")),
    Row("20", "the order of rows", ("order_of_the_straight_run",)),
    Row("21", "what is kept", ("latest_and_the_best",)),
    Row("22", "faulty downloads", ("test_fetching",)),
    Row("23", "runs with whatever befalls them, for minutes", ("whatever_befalls",)),
    Row("24", "another version's checkpoint", ("another_format",)),
    Row("47, 56, 57", "no pickle, no secret written, no connection", ("unpickles_nothing", "the_guard")),
    Row("48", "hostile folders of models", ("hostile_model_folder",)),
    Row("49", "templates in a sandbox, and bounded", ("a_template_that", "without_end_or_measure")),
    Row("50", "names that lead elsewhere", ("named_and_nowhere_else", "lead_elsewhere")),
    Row(
        "51",
        "addresses that are not public",
        ("not_public", "loopback", "behind_a_proxy", "checked_is_the_one"),
    ),
    Row("55", "hostile text in a report", ("hostile_text", "forgets_to_escape", "forbids_itself")),
    Row("56", "addresses with secrets", ("with_a_secret",)),
    Row("59", "GGUF and safetensors files that lie", ("test_hostile_files",)),
)


def print_table(*, nightly: bool) -> None:
    """Run the tests, and print a line for each property."""
    results = run_tests(nightly=nightly)
    print("| # | promise | tests here | held | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for row in ROWS:
        mine = [case for case in results if any(part in case[0] for part in row.tests)]
        held = sum(is_held for _, is_held, _ in mine)
        seconds = sum(took for _, _, took in mine)
        told = f"{held}/{len(mine)} | {seconds:.0f}" if mine else "with --nightly |"
        print(f"| {row.number} | {row.promise} | {len(mine)} | {told} |")


def run_tests(*, nightly: bool) -> list[tuple[str, bool, float]]:
    """Return for each test its name, whether it held, and its seconds."""
    # What forks needs a process in which no other test has started threads.
    in_process, forked = ["nightly or not end_to_end", "forks or nightly"] if nightly else ["", "forks"]
    return [
        *run_files([file for file in FILES if file != FAULTS], in_process),
        *run_files(list(FILES), forked),
    ]


def run_files(files: list[str], marked: str) -> list[tuple[str, bool, float]]:
    """Return the same for some files, of which the tests with these marks are run."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            *files,
            "-m",
            marked,
            f"--junitxml={report}",
        ]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        return [
            (f"{case.get('classname')}.{case.get('name')}", not len(case), float(case.get("time", 0)))
            for case in Xml.parse(report).iter("testcase")
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nightly", action="store_true", help="what takes up to an hour, too")
    print_table(nightly=parser.parse_args().nightly)
