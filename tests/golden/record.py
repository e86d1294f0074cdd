"""Records what a change without effect must leave as it is, and compares two such records.

    python tests/golden/record.py record new.json                       # of the checkout that this file lies in
    python tests/golden/record.py record old.json --checkout FOLDER     # of another one, as of the commit before
    python tests/golden/record.py record some.json --only quickstart    # one scenario; the option may be repeated
    python tests/golden/record.py compare old.json new.json

Both records must come from one machine and one Python environment, because the bits of a training differ between
processors and versions of torch. A record of all scenarios takes about 6 minutes on one thread (quickstart 64 s,
classification 23 s, preference with the general-text check 207 s, resumed 79 s; measured on a busy machine) and needs
the default model in the user's cache. `compare` prints each changed value and each added or removed field, and exits
with 1 if something changed or was removed; added fields alone are no fault.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
KILLED_AFTER_STEP = 12  # two steps after a checkpoint, so that the resumed run repeats some
LONGEST_WAIT_SECONDS = 300
POLL_SECONDS = 0.02

# Keys that differ between two runs of the same code: each pattern with its reason.
VOLATILE = {
    r"(^|_)seconds?$": "durations, and rates per second",
    r"memory_bytes$": "peak memory depends on the allocator and on what else runs",
    r"(_at|^date|^time)$": "the moment of the run",
    r"(^|_)(path|folder)$": "the record's folder has a new name each time",
    r"^tutelage$": "the version may be raised by a change that changes nothing else",
}

SETTINGS = {
    "training.max_steps": 20,
    "training.eval_steps": 10,
    "training.per_device_train_batch_size": 4,
    "training.dtype": "float32",  # `auto` measures, so another load could choose the other one
    "evaluation.limit": 8,
}
IN_BFLOAT16 = {"training.dtype": "bfloat16"}
ANSWERS = {"training.sample_prompts": 1, "evaluation.max_new_tokens": 16}
# The check has a fixed size and takes longer than all the rest, so one scenario makes it.
WITHOUT_GENERAL_TEXT = {"evaluation.general_text": "false"}


@dataclass(frozen=True)
class Scenario:
    """One run: the recipe, its settings, the rows of a file of its own, and whether it is killed on the way."""

    recipe: str
    settings: dict[str, Any]
    rows: Callable[[], list[dict[str, str]]] | None = None
    is_killed: bool = False


def class_values() -> list[dict[str, str]]:
    """Return 300 texts of two labels; every tenth has the other label, so that no model is perfect."""
    goods = ["kettle", "lamp", "chair", "radio", "coat", "clock"]
    praise = ["works well", "arrived early", "looks lovely"]
    blame = ["broke at once", "came late", "smells odd", "is too small"]
    values = []
    for number in range(300):
        is_good = number % 7 < 3
        said = praise[number % len(praise)] if is_good else blame[number % len(blame)]
        text = f"Order {number * 37}: the {goods[number % len(goods)]} {said}."
        values.append({"text": text, "label": "good" if is_good != (number % 10 == 0) else "bad"})
    return values


def pair_values() -> list[dict[str, str]]:
    """Return 120 pairs of a polite and a rude answer; each prompt has two of them."""
    things = ["pen", "map", "cup", "key", "hat"]
    values = []
    for number in range(120):
        thing = things[number % len(things)]
        values.append(
            {
                "prompt": f"Ask guest {number // 2} for something.",
                "chosen": f"Could you please pass me the {thing}?",
                "rejected": f"Give me the {thing}, number {number}.",
            }
        )
    return values


SFT = SETTINGS | ANSWERS | WITHOUT_GENERAL_TEXT
SCENARIOS = {
    "quickstart": Scenario("quickstart", SFT),
    # The type that `auto` takes where its products are faster.
    "classification": Scenario(
        "classify", SETTINGS | IN_BFLOAT16 | {"evaluation.zero_shot": "true"}, class_values
    ),
    # Dropout is drawn for each step, which no other scenario shows.
    "preference": Scenario("prefer", SETTINGS | ANSWERS | {"adapter.lora_dropout": 0.1}, pair_values),
    "resumed": Scenario("quickstart", SFT, is_killed=True),
}
# Events that depend on how often a run was called and how fast it was; what has no step does too.
OF_A_CALL = ("training_planned", "resumed", "estimate")
STRAIGHT = {"resumed": "quickstart"}  # which scenario a killed one must equal
ONLY_OF_RESUMED = ("summary.training.resumed",)


def main(words: list[str]) -> int:
    """Record or compare as the command line asks; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run the scenarios and write the record")
    recording.add_argument("output", type=Path)
    recording.add_argument("--checkout", type=Path, default=CHECKOUT)
    recording.add_argument("--only", action="append", choices=list(SCENARIOS))
    comparing = commands.add_parser("compare", help="print what differs between two records")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args(words)
    if given.command == "compare":
        before, after = (
            json.loads(path.read_text(encoding="utf-8"))["scenarios"] for path in (given.before, given.after)
        )
        return show_differences(before, after)
    return record(given.output, given.checkout.resolve(), given.only or list(SCENARIOS))


def record(output: Path, checkout: Path, names: list[str]) -> int:
    """Run the scenarios and write the record; return 1 if a resumed run does not equal its straight one."""
    require_own_source(checkout)
    scenarios = {}
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        for name in names:
            begin = time.monotonic()
            scenarios[name] = run_scenario(SCENARIOS[name], checkout, Path(folder) / name)
            print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    text = json.dumps({"format": 1, "commit": commit_of(checkout), "scenarios": scenarios}, indent=1)
    output.write_text(text + "\n", encoding="utf-8")
    code = 0
    for name, straight in STRAIGHT.items():
        if name in scenarios and straight in scenarios:
            print(f"{name} held against {straight}:")
            resumed, expected = (
                {key: value for key, value in flat(scenarios[one]) if key not in ONLY_OF_RESUMED}
                for one in (name, straight)
            )
            code |= show_differences(expected, resumed)
    return code


def require_own_source(checkout: Path) -> None:
    """Stop if the running Python would import the program from elsewhere, as from an editable install."""
    question = [sys.executable, "-P", "-c", "import tutelage; print(tutelage.__file__)"]
    done = subprocess.run(question, env=environment(checkout), capture_output=True, text=True, check=True)
    if not Path(done.stdout.strip()).resolve().is_relative_to(checkout / "src"):
        sys.exit(f"{sys.executable} imports {done.stdout.strip()}, which is not in {checkout}.")


def environment(checkout: Path) -> dict[str, str]:
    """Return the variables of a run: the caller's, the checkout's source, and one thread."""
    kept = {name: value for name, value in os.environ.items() if not re.match("OMP_|MKL_|GOMP_", name)}
    # The number of threads decides in which order numbers are added up.
    return kept | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout with -dirty behind it if files differ, "unknown" without git; never compared."""
    asked = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def run_scenario(scenario: Scenario, checkout: Path, folder: Path) -> dict[str, Any]:
    """Run one scenario in a new folder and return its part of the record."""
    folder.mkdir()
    command = [sys.executable, "-P", "-m", "tutelage", "run", scenario.recipe, "--output", "run"]
    if scenario.rows:
        (folder / "rows.json").write_text(json.dumps(scenario.rows()), encoding="utf-8")
        command += ["--data", "rows.json"]
    for name, value in scenario.settings.items():
        command += ["--set", f"{name}={value}"]
    if scenario.is_killed:
        kill_after_step(KILLED_AFTER_STEP, command, checkout, folder)
    finish(command, checkout, folder)
    return record_of_run(folder / "run")


def start(command: list[str], checkout: Path, folder: Path) -> subprocess.Popen:
    """Start a run whose output goes into a log beside it."""
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment(checkout), stdout=log, stderr=subprocess.STDOUT
        )


def finish(command: list[str], checkout: Path, folder: Path) -> None:
    """Run a command to its end; stop with its last lines if it fails."""
    if start(command, checkout, folder).wait():
        sys.exit(f"{' '.join(command)} failed:\n{(folder / 'log.txt').read_text(encoding='utf-8')[-2000:]}")


def kill_after_step(step: int, command: list[str], checkout: Path, folder: Path) -> None:
    """Start a run and kill it as soon as its log of events shows a step."""
    running, events = start(command, checkout, folder), folder / "run" / "events.jsonl"
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while running.poll() is None and not has_reached(step, events):
        if time.monotonic() > deadline:
            running.kill()
            running.wait()
            sys.exit(f"{events} shows no step {step} after {LONGEST_WAIT_SECONDS} s.")
        time.sleep(POLL_SECONDS)
    running.kill()
    if running.wait() != -signal.SIGKILL:
        sys.exit(f"The run ended before it could be killed after step {step}.")


def has_reached(step: int, events: Path) -> bool:
    """Tell whether the step stands in the log; its last line may be half written."""
    whole_lines = events.read_bytes().split(b"\n")[:-1] if events.exists() else []
    found = map(json.loads, whole_lines)
    return any(event.get("event") == "step" and event["step"] >= step for event in found)


def record_of_run(run: Path) -> dict[str, Any]:
    """Return all of a finished run that a change without effect leaves alike."""
    events = read_lines(run / "events.jsonl")
    return {
        "weights": {file.name: file_sha256(file) for file in sorted((run / "model").glob("*.safetensors"))},
        "summary": without_volatile(json.loads((run / "summary.json").read_text(encoding="utf-8"))),
        "environment": without_volatile(json.loads((run / "environment.json").read_text(encoding="utf-8"))),
        "events": {
            "kinds": [
                event.get("event")
                for event in events
                if "step" in event and event.get("event") not in OF_A_CALL
            ],
            "losses": [event["loss"] for event in events if "loss" in event],
        },
        "rows": {
            file.relative_to(run).as_posix(): record_of_rows(read_lines(file))
            for part in ("data", "evaluation")
            for file in sorted((run / part).glob("*.jsonl"))
        },
        "arrays": {file.name: file_sha256(file) for file in sorted((run / "data").glob("*.npy"))},
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def record_of_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the number of rows and a SHA-256 for each field over all rows, so that an added field changes no other."""
    names = sorted({name for row in rows for name in row})
    columns = {
        name: [[number, row[name]] for number, row in enumerate(rows) if name in row] for name in names
    }
    return {
        "count": len(rows),
        "sha256": {
            name: hashlib.sha256(json.dumps(column).encode()).hexdigest() for name, column in columns.items()
        },
    }


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_volatile(value: Any) -> Any:
    """Return a JSON value without the keys that differ between two runs of the same code, at any depth."""
    if isinstance(value, list):
        return [without_volatile(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_volatile(part)
        for key, part in value.items()
        if not any(re.search(pattern, key) for pattern in VOLATILE)
    }


def show_differences(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print how two records differ; return 1 if a value changed or was removed, else 0."""
    found = list(differences(before, after))
    for kind, line in found:
        print(f"{kind:8}{line}")
    counts = {kind: sum(one == kind for one, _ in found) for kind in ("changed", "removed", "added")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if counts["changed"] or counts["removed"] else 0


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `changed`, `removed` or `added`, each with the field and its values."""
    old, new = dict(flat(before)), dict(flat(after))
    for name, value in old.items():
        if name not in new:
            is_filled = value == {} and any(other.startswith(f"{name}.") for other in new)
            if not is_filled:
                yield "removed", f"{name}: {shown(value)}"
            continue
        found = new[name]
        if name.endswith("events.kinds"):  # events of a new kind may come between the others
            for kind in sorted(set(found) - set(value)):
                yield "added", f"{name}: {kind}"
            found = [kind for kind in found if kind in value]
        if found != value:
            yield "changed", f"{name}: {shown(value)} -> {shown(found)}"
    for name, value in new.items():
        if name not in old:
            yield "added", f"{name}: {shown(value)}"


def flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name; a list without objects is one value, and so is an empty object."""
    for key, part in value.items():
        if isinstance(part, dict) and part:
            yield from flat(part, f"{prefix}{key}.")
        elif isinstance(part, list) and any(isinstance(one, dict) for one in part):
            yield from flat({str(number): one for number, one in enumerate(part)}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", part


def shown(value: Any) -> str:
    """Return a value as JSON, its middle left out if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:80]} … {text[-35:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
