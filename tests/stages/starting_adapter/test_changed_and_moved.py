"""Runs that went on from an adapter which was changed or moved since, and training that was interrupted meanwhile."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.further_runs import QUICK, log_probs, weights_of

import tutelage
from tutelage.config.recipe_file import setting_named
from tutelage.errors import Interrupted, ModelError, RunFolderError, TutelageError
from tutelage.run.artifacts import Reference, read_artifact
from tutelage.run.events import StepTaken
from tutelage.run.folder import read_json
from tutelage.stages.run import run_all
from tutelage.stages.run_folders import new_run
from tutelage.stages.session import Session
from tutelage.training.checkpoint import changes_since


@pytest.fixture
def started(home, first, tmp_path):
    """A run that goes on from a copy of the first one, was ended after two of four steps, and can be called again."""
    shutil.copytree(first.folder, tmp_path / "start")
    assert session_of(home, tmp_path, stop_after=2) == Interrupted
    return tmp_path


def session_of(home, place, *, stop_after=None, **options):
    """Run all stages; return the kind of error that ended them, a code of ours in its place, or None."""
    given = {**QUICK, "objective": "dpo", "adapter": str(place / "start"), "max_steps": 4}
    overrides = {f"--set {setting_named(name)}": value for name, value in given.items()}
    overrides["--data data.source"] = str(home / "pairs.json")
    run, loaded = new_run(None, overrides, root=place / "mine")

    def listen(event):
        if isinstance(event, StepTaken) and event.step == stop_after:
            session.interruption.requested = True

    session = Session(run, loaded, listener=listen)
    try:
        run_all(session, **options)
    except Interrupted:
        return Interrupted
    except TutelageError as fault:
        return fault.code, str(fault)
    return None


def change(place):
    """Put another adapter in the place of the one that a run started from: other weights of the same shapes."""
    weights = {name: weight + 0.01 for name, weight in load_file(place / "adapter_model.safetensors").items()}
    save_file(weights, place / "adapter_model.safetensors", metadata={"format": "pt"})
    (place / "manifest.json").unlink(missing_ok=True)


def test_an_interrupted_run_goes_on_to_the_bit(home, second, started):
    assert session_of(home, started) is None
    kept, straight = load_file(started / "mine" / "model" / "adapter_model.safetensors"), weights_of(second)
    assert all(torch.equal(kept[name], straight[name]) for name in straight)


def test_a_run_does_not_go_on_once_its_starting_adapter_changed(home, started):
    change(started / "start" / "model")
    code, told = session_of(home, started)
    assert code == "run.settings_changed"
    assert "the starting adapter" in told
    # Accepted, it is recorded, and the reference is that of the adapter that is there now.
    before = read_artifact(Reference, started / "mine" / "reference.json").train.fingerprint
    assert session_of(home, started, allow_changes=True) is None
    assert (
        "the starting adapter" in read_json(started / "mine" / "model" / "training.json")["allowed_changes"]
    )
    assert read_artifact(Reference, started / "mine" / "reference.json").train.fingerprint != before


def test_a_finished_run_is_not_asked_once_its_starting_adapter_changed(home, started):
    assert session_of(home, started) is None
    run = tutelage.Run(started / "mine")
    run.load("base")
    change(started / "start" / "model")
    for ask in (lambda: run.load("base"), lambda: run.load("tuned"), lambda: run.export("peft")):
        with pytest.raises(RunFolderError) as fault:
            ask()
        assert fault.value.code == "run.starting_adapter_changed"
    shutil.rmtree(started / "start")
    with pytest.raises(ModelError) as fault:
        run.load("base")
    assert fault.value.code == "model.adapter_not_found"


@pytest.fixture
def finished(home, started):
    """A run that is done, beside the run that it went on from; with what it gives."""
    assert session_of(home, started) is None
    return started


def move(place, *names):
    """Move what stands in a folder, as a project that is renamed."""
    (place / "elsewhere").mkdir()
    for name in names:
        shutil.move(place / name, place / "elsewhere" / name)
    return place / "elsewhere"


def test_two_runs_that_are_moved_together_stay_usable(first, finished, command):
    moved = move(finished, "start", "mine")
    run = tutelage.Run(moved / "mine")
    assert torch.equal(log_probs(run.load("base")), log_probs(first.load("tuned")))
    for words in (["report"], ["evaluate", "--overwrite"]):
        ended = command(*words, moved / "mine")
        assert ended.code == 0, ended.err


def test_an_interrupted_run_that_was_moved_goes_on_to_the_bit(home, second, started):
    moved = move(started, "start", "mine")
    assert session_of(home, moved) is None  # which names the new place
    kept, straight = load_file(moved / "mine" / "model" / "adapter_model.safetensors"), weights_of(second)
    assert all(torch.equal(kept[name], straight[name]) for name in straight)


def test_the_place_of_the_starting_adapter_is_no_change_of_a_checkpoint():
    assert changes_since({"model.adapter": "here", "adapter.r": 3}, {"adapter.r": 3}) == []
    assert changes_since({"adapter.r": 3}, {"adapter.r": 4}) != []


def test_another_adapter_that_stands_where_the_first_would_be_is_not_taken(finished):
    moved = move(finished, "start", "mine")
    change(moved / "start" / "model")
    with pytest.raises(ModelError) as fault:
        tutelage.Run(moved / "mine").load("base")
    assert fault.value.code == "model.adapter_not_found"


@pytest.mark.usefixtures("few_prompts", "in_this_process")
@pytest.mark.parametrize("part", [".", "model", "export/peft"])
def test_an_adapter_that_was_moved_alone_is_named_again(first, finished, command, part):
    start, mine = finished / "start", finished / "mine"
    if part == "export/peft":
        tutelage.Run(start).export("peft")
    shutil.copytree(start / part, finished / "far" / "away")
    shutil.rmtree(start)
    with pytest.raises(ModelError) as fault:
        tutelage.Run(mine).load("base")
    assert fault.value.code == "model.adapter_not_found"
    assert 'adapter="runs/NAME"' in str(fault.value), "as a keyword"
    named = ("--set", f"model.adapter={finished / 'far' / 'away'}")
    ended = command("generate", mine, "Give a fig.", *named)
    assert ended.code == 0, ended.err
    ended = command("report", mine, *named)
    assert ended.code == 0, ended.err
    ended = command("evaluate", mine, "--overwrite", *named)
    assert ended.code == 0, ended.err
    assert torch.equal(log_probs(tutelage.Run(mine).load("base")), log_probs(first.load("tuned")))


def test_another_adapter_is_refused_by_its_hash(home, first, finished, command):
    mine = finished / "mine"
    shutil.copytree(finished / "start", finished / "other")
    change(finished / "other" / "model")
    for verb, *words in (
        ("generate", mine, "Give a fig."),
        ("report", mine),
        ("evaluate", mine, "--overwrite"),
    ):
        ended = command(verb, *words, "--set", f"model.adapter={finished / 'other'}")
        assert ended.code != 0
        assert "error[run.starting_adapter_changed]" in ended.err
