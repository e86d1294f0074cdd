"""Runs of the whole command line that something happens to, and what comes out of them in the end."""

import errno
import os
import signal
from contextlib import contextmanager
from pathlib import Path

from support.children import run
from support.failpoints import CRASHED, before_each

from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines

SETTINGS = {
    "training.max_steps": 6,
    "training.save_steps": 2,
    "training.eval_steps": 3,
    "training.dtype": "float32",
    "training.sample_prompts": 0,
    "adapter.r": 2,
    "adapter.lora_dropout": 0.1,
    "evaluation.limit": 6,
    "evaluation.batch_size": 2,
    "evaluation.max_new_tokens": 4,
}
# What a run makes, and must make whatever happened on the way; times and memory are no part of it.
MADE = (
    "data/train.jsonl",
    "data/preparation.json",
    "model/adapter_model.safetensors",
    "evaluation/base.jsonl",
    "evaluation/tuned.jsonl",
    "evaluation/metrics.json",
    "recipe.toml",
)

OF_TRAINING = ("step", "validation", "sample", "memory", "unsaved", "stopped_early", "checksums_skipped")


def words(output, **changed):
    settings = {
        "model.name_or_path": "tiny",
        **SETTINGS,
        **{k.replace("__", "."): v for k, v in changed.items()},
    }
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return ["run", "--data", "my.json", "--output", output, *given]


def made_by(root):
    return {name: (Path(root) / name).read_bytes() for name in MADE}


def losses(root):
    """Return the events of a training but for times; what else stages report depends on how often they were called."""
    return [
        {key: value for key, value in event.items() if key != "seconds"}
        for event in read_json_lines(RunFolder(Path(root)).events)
        if event["event"] in OF_TRAINING
    ]


@contextmanager
def listing(path):
    """Write the paths of the operations to a file when the work is done."""
    made = []
    with before_each(lambda number, operation, place: made.append(str(place))):
        try:
            yield
        finally:
            path.write_text("\n".join(made))


def at(number, act):
    """Enter a context in which `act` is called before the operation of a number."""
    return lambda: before_each(lambda reached, *_: act() if reached == number else None)


def crash():
    os._exit(CRASHED)


def ask_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def check_it_ends_as(straight, root, output, **changed):
    """Give the same command again, and hold what comes out against the undisturbed run."""
    ended = run(words(root, **changed), output)
    # What ended with all done, and only its lock still there, is a finished run to the next call.
    assert ended.code == 0 or "already holds a run" in ended.said, ended.said
    expected, events, _ = straight
    made = made_by(root)
    assert [name for name in MADE if made[name] != expected[name]] == []
    assert losses(root) == events
    assert [path for path in Path(root).rglob("*") if path.name.startswith(".")] == []
    assert not (Path(root) / "answers").exists()


def out_of_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def operations_on(name, straight):
    """Return the numbers of the operations whose path holds a name."""
    return [number for number, path in enumerate(straight[2], start=1) if name in path]
