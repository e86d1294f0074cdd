"""Checkpoints that are damaged, forged, or cannot be written: none is taken for a whole one, and each is told."""

import errno
import json
import os
import re
import shutil
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.failpoints import before_each, count_operations, failing
from support.kept_training import FUSED, Training, recipe_of
from support.systems import needs_pipes
from support.tiny_tokenizer import write_tiny_model

from tutelage.errors import StorageError
from tutelage.model.sources import ModelSource
from tutelage.run.folder import RunFolder
from tutelage.system import storage
from tutelage.system.storage import MANIFEST, find_damage, staged_folder
from tutelage.training.checkpoint import (
    MOMENTS,
    STATE,
    Checkpoint,
    find_checkpoint,
    machine_of,
    read_checkpoint,
    restore,
    write_checkpoint,
)

WEIGHTS = "adapter_model.safetensors"
FILES = (WEIGHTS, "adapter_config.json", MOMENTS, STATE, MANIFEST)


@pytest.fixture(scope="module", autouse=True)
def no_waiting_before_another_try():
    with patch.object(storage, "WAITS_SECONDS", (0.0, 0.0, 0.0)):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A training with the checkpoints of the steps 10, 20, 30 and 40."""
    place = tmp_path_factory.mktemp("made")
    source = ModelSource(write_tiny_model(place / "tiny"), "tiny", "0" * 64, None)
    training = Training(place / "run", source, recipe_of(FUSED, save_steps=10))
    training.go()
    assert training.run.saved_steps() == [10, 20, 30, 40]
    return training


@pytest.fixture
def run(made, tmp_path):
    """A copy of its run folder, to be damaged."""
    return RunFolder(shutil.copytree(made.run.root, tmp_path / "run"))


def newest_whole(run, *, tell):
    return find_checkpoint(run.checkpoints, quarantine=run.quarantine, root=run.root, tell=tell)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def lose(path):
    path.unlink()


def swap(path):
    other = FILES[FILES.index(path.name) - 1]
    shutil.copy(path.with_name(other), path)


def take_that_of_another_step(path):
    shutil.copy(path.parents[1] / "step-000030" / path.name, path)


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def lengthen_much(path):
    with path.open("ab") as file:
        file.truncate(2**26)  # a hole, which takes no room


def make_a_folder(path):
    path.unlink()
    path.mkdir()


def link_to_the_same_bytes(path):
    kept = path.rename(path.parents[3] / path.name)
    path.symlink_to(kept)


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("nowhere")


def link_to_itself(path):
    path.unlink()
    path.symlink_to(path.name)


def make_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = [
    cut, zero, flip, empty, lose, swap, take_that_of_another_step, lengthen, lengthen_much,
    make_a_folder, link_to_the_same_bytes, link_to_nothing, link_to_itself,
    pytest.param(make_a_pipe, marks=needs_pipes),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("file", FILES)
def test_every_damage_to_every_file_falls_back_to_the_checkpoint_before_and_is_told(run, file, damage):
    """Property 8, with every bit of a small folder in test_storage."""
    if (file, damage) == ("adapter_config.json", take_that_of_another_step):
        damage = cut  # it is the same at every step
    damage(run.checkpoint(40) / file)
    falls_back(run, file)


def falls_back(run, *named):
    """Hold that the newest checkpoint is put aside with one message that names all this, and the next is taken."""
    told = []
    found = newest_whole(run, tell=told.append)
    assert found.progress.step == 30
    assert find_damage(found.folder) is None
    [warning] = told
    assert warning.code == "run.checkpoint_damaged"
    line = warning.text
    assert line.startswith(f"{run.checkpoint(40)} is damaged (")
    assert f"moved to {run.quarantine / 'step-000040'}, and will not be used" in line
    assert [name for name in named if name not in line] == []
    assert not run.checkpoint(40).exists()
    assert os.path.lexists(run.quarantine / "step-000040")


def manifest_of(run):
    return json.loads((run.checkpoint(40) / MANIFEST).read_text())


def rewritten(change):
    """Return what makes a manifest of the true one with a change."""

    def write(run):
        manifest = manifest_of(run)
        change(manifest)
        return (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()

    return write


def true_bytes(run):
    return (run.checkpoint(40) / MANIFEST).read_bytes()


MANIFESTS = {
    "a list": lambda run: b"[]",
    "nothing in it": lambda run: b"{}",
    "a number": lambda run: b"7",
    "no JSON": lambda run: b"{'files': 1}",
    "files is a list": rewritten(lambda m: m.update(files=[])),
    "files is null": rewritten(lambda m: m.update(files=None)),
    "no files": rewritten(lambda m: m.update(files={})),
    "a later format": rewritten(lambda m: m.update(format=2)),
    "a format in words": rewritten(lambda m: m.update(format="1")),
    "a key too many": rewritten(lambda m: m.update(note="hello")),
    "a wrong hash": rewritten(lambda m: m["files"][WEIGHTS].update(sha256="0" * 64)),
    "a hash in capitals": rewritten(
        lambda m: m["files"][WEIGHTS].update(sha256=m["files"][WEIGHTS]["sha256"].upper())
    ),
    "a hash cut short": rewritten(
        lambda m: m["files"][WEIGHTS].update(sha256=m["files"][WEIGHTS]["sha256"][:32])
    ),
    "a wrong size": rewritten(lambda m: m["files"][WEIGHTS].update(bytes=1)),
    "a size below nothing": rewritten(lambda m: m["files"][WEIGHTS].update(bytes=-1)),
    "an entry that is a word": rewritten(lambda m: m["files"].update({WEIGHTS: "whole"})),
    "a file that is missing": rewritten(lambda m: m["files"].update({"more": m["files"][WEIGHTS]})),
    "a file left out": rewritten(lambda m: m["files"].pop(STATE)),
    "a path out of the folder": rewritten(
        lambda m: m["files"].update({"../step-000030/" + STATE: m["files"][STATE]})
    ),
    "twice the same key": lambda run: true_bytes(run).replace(b'"format": 1', b'"format": 1,\n  "format": 1'),
    "a space more": lambda run: true_bytes(run) + b" ",
    "lines that end as on Windows": lambda run: true_bytes(run).replace(b"\n", b"\r\n"),
    "a byte order mark": lambda run: b"\xef\xbb\xbf" + true_bytes(run),
    "in UTF-16": lambda run: true_bytes(run).decode().encode("utf-16"),
    "no text": lambda run: b"\xff\xfe\xfd",
    "brackets without end": lambda run: b"[" * 100_000,
    "a number of 100,000 digits": lambda run: b'{"format": ' + b"1" * 100_000 + b"}",
    "not a number": lambda run: true_bytes(run).replace(b'"format": 1', b'"format": NaN'),
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_not_to_the_byte_what_was_written_is_not_believed(run, content):
    (run.checkpoint(40) / MANIFEST).write_bytes(content(run))
    falls_back(run)


def add_a_file(folder):
    (folder / "added.py").write_text("import os\n")


def add_a_folder_with_a_file(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "added").touch()


def put_a_file_in_its_place(folder):
    shutil.rmtree(folder)
    folder.write_text("x")


def empty_it(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def link_it_to_nothing(folder):
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (add_a_file, "added.py is not listed"),
        (add_a_folder_with_a_file, "inner/added is not listed"),
        (put_a_file_in_its_place, f"{MANIFEST} cannot be read: Not a directory"),
        (empty_it, f"{MANIFEST} is missing"),
        (link_it_to_nothing, f"{MANIFEST} is missing"),
    ],
)
def test_a_folder_that_is_not_as_it_was_published_is_not_believed(run, damage, named):
    damage(run.checkpoint(40))
    falls_back(run, named)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(run, monkeypatch, code):
    honest = storage.file_sha256

    def refusing(path):
        if path == run.checkpoint(40) / MOMENTS:
            raise OSError(code, os.strerror(code), str(path))
        return honest(path)

    monkeypatch.setattr(storage, "file_sha256", refusing)
    falls_back(run, f"{MOMENTS} cannot be read: {os.strerror(code)}")


def test_a_check_that_reads_no_bytes_is_caught(run, monkeypatch):
    """The broken variant: with sizes alone a flipped bit passes."""
    hashes = {name: file["sha256"] for name, file in manifest_of(run)["files"].items()}
    flip(run.checkpoint(40) / WEIGHTS)
    monkeypatch.setattr(storage, "file_sha256", lambda path: hashes[path.name])
    assert find_damage(run.checkpoint(40)) is None


def test_where_no_checkpoint_is_whole_the_training_does_not_start_from_zero_by_itself(run):
    for step in run.saved_steps():
        flip(run.checkpoint(step) / MOMENTS)
    told = []
    for _ in range(2):  # not at the second call either
        with pytest.raises(StorageError, match="All checkpoints of .* are damaged") as fault:
            newest_whole(run, tell=told.append)
        assert fault.value.exit_code == 4
        assert "--overwrite" in str(fault.value)
    assert len(told) == 4


def test_a_best_checkpoint_that_is_lost_is_no_longer_the_result(run):
    before = read_checkpoint(run.checkpoints, 40).progress
    flip(run.checkpoint(before.best_step) / MOMENTS)
    found = newest_whole(run, tell=lambda line: None)
    others = {step: loss for step, loss in before.losses.items() if step not in (0, before.best_step)}
    assert found.progress.best_step == min(others, key=others.get)


@pytest.mark.parametrize("date", [0, 2**31 - 1, 2**33])
def test_the_dates_of_files_decide_nothing(run, date):
    for path in [run.checkpoint(40), *run.checkpoint(40).iterdir()]:
        os.utime(path, (date, date))
    assert newest_whole(run, tell=pytest.fail).progress.step == 40


def forged(run, *, state=None, tensors=None, file=MOMENTS):
    """Publish the newest checkpoint anew, with a true manifest, after a change of its state or its tensors."""
    folder = run.checkpoint(40)
    with staged_folder(folder) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        (staged / MANIFEST).unlink()
        if state:
            written = json.loads((staged / STATE).read_text())
            (staged / STATE).write_text(json.dumps(state(written)))
        if tensors:
            held = load_file(staged / file)
            tensors(held)
            save_file(held, staged / file, metadata={"format": "pt"})
    assert find_damage(folder) is None


@pytest.mark.parametrize("format_", [0, 1, 99, "2", None, [2]])
def test_a_checkpoint_of_another_format_is_refused_by_its_number(run, format_):
    """Property 24."""
    forged(run, state=lambda state: {**state, "format": format_})
    with pytest.raises(StorageError) as fault:
        newest_whole(run, tell=pytest.fail)
    assert f"has format {format_} of another version of Tutelage, but this version reads format 2" in str(
        fault.value
    )
    assert fault.value.exit_code == 4


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def progress(**changed):
    return lambda state: {**state, "progress": {**state["progress"], **changed}}


STATES = {
    "a list": (lambda state: [state], "list"),
    "no progress": (without("progress"), "progress"),
    "no identity": (without("fingerprint"), "fingerprint"),
    "progress in words": (lambda state: {**state, "progress": "far"}, "progress"),
    "a step in words": (progress(step="forty"), "step"),
    "half a step": (progress(step=39.5), "step"),
    "another step": (progress(step=0), "it was saved after step 0"),
    "a loss in words": (progress(losses={"10": "low"}), "losses"),
    "a loss of no step": (progress(losses={"first": 1.0}), "losses"),
    "seconds of no kind": (lambda state: {**state, "seconds": None}, "seconds"),
}


@pytest.mark.parametrize(("change", "named"), STATES.values(), ids=STATES)
def test_a_state_that_this_program_does_not_write_is_refused_though_its_hash_is_right(run, change, named):
    forged(run, state=change)
    with pytest.raises(StorageError) as fault:
        newest_whole(run, tell=pytest.fail)
    refuses(fault.value, run, named)


def refuses(fault, run, named):
    """Hold that the message names the folder, the reason and the way on, and that following it leads on."""
    assert str(fault).startswith(f"{run.checkpoint(40)} does not fit this training: ")
    assert named in str(fault)
    assert "Move it away and run the same command again" in str(fault)
    assert fault.exit_code == 4
    shutil.rmtree(run.checkpoint(40))
    assert newest_whole(run, tell=pytest.fail).progress.step == 30


def first(held):
    return next(name for name, value in held.items() if value.ndim == 2)


def fill(value):
    return lambda held: held[first(held)][0].fill_(value)


def in_another_shape(held):
    held[first(held)] = torch.zeros(2, 3)


def under_another_name(held):
    held["base_model.model.odd/exp_avg"] = held.pop(first(held))


def one_less(held):
    held.pop(first(held))


TENSORS = {
    "moments that are no numbers": (MOMENTS, fill(float("nan")), "not finite"),
    "moments without end": (MOMENTS, fill(float("inf")), "not finite"),
    "moments in another shape": (MOMENTS, in_another_shape, "with a different shape"),
    "moments of something else": (MOMENTS, under_another_name, "which is not trained now"),
    "weights that are no numbers": (WEIGHTS, fill(float("nan")), "not finite"),
    "weights without end": (WEIGHTS, fill(float("-inf")), "not finite"),
    "weights in another shape": (WEIGHTS, in_another_shape, "names or shapes"),
    "weights of something else": (WEIGHTS, under_another_name, "names or shapes"),
    "a weight less": (WEIGHTS, one_less, "names or shapes"),
}


@pytest.mark.parametrize(("file", "change", "named"), TENSORS.values(), ids=TENSORS)
def test_tensors_that_do_not_fit_are_refused_before_a_step_is_made(made, run, file, change, named):
    forged(run, tensors=change, file=file)
    model, optimizer = made.open()
    checkpoint = newest_whole(run, tell=pytest.fail)
    with pytest.raises(StorageError) as fault:
        restore(checkpoint, model, optimizer, made.recipe)
    refuses(fault.value, run, named)
    assert not optimizer.state


def test_the_same_tensors_written_anew_are_taken(made, run):
    """What forges is not what is refused."""
    forged(run, state=lambda state: state, tensors=lambda held: None)
    model, optimizer = made.open()
    restore(newest_whole(run, tell=pytest.fail), model, optimizer, made.recipe)
    assert optimizer.state


def save_step_50(made, run):
    model, optimizer = made.open()
    restore(read_checkpoint(run.checkpoints, 40), model, optimizer, made.recipe)
    earlier = read_checkpoint(run.checkpoints, 40)
    kept = Checkpoint(run.checkpoint(50), earlier.progress, 0.0, 0, {}, machine_of(model), [], [])
    return lambda: write_checkpoint(model, optimizer, made.recipe, base="tiny", checkpoint=kept)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_wherever_a_checkpoint_cannot_be_written_the_one_before_stays_and_the_fault_is_told(made, run, code):
    """Properties 5 and 6: at every operation, of faults that stay."""
    save = save_step_50(made, run)
    operations = count_operations(save)
    assert operations >= 10
    for number in range(1, operations + 1):
        shutil.rmtree(run.checkpoint(50))

        def stays(reached, operation, path, number=number):
            if reached >= number:
                raise OSError(code, os.strerror(code), str(path))

        with before_each(stays), pytest.raises(StorageError) as fault:
            save()
        assert fault.value.exit_code == 4
        assert str(fault.value).startswith(f"Could not write {run.checkpoints}{os.sep}")
        assert f"step-000050: {os.strerror(code)}" in re.sub(r"\.(step-000050)\S+:", r"\1:", str(fault.value))
        assert ("bytes are free there" in str(fault.value)) == (code in (errno.ENOSPC, errno.EDQUOT))
        assert [path.name for path in run.checkpoints.iterdir() if path.name.startswith(".")] == []
        assert all(find_damage(run.checkpoint(step)) is None for step in run.saved_steps())
        save()  # the fault is over, and nothing is in the way
        assert find_damage(run.checkpoint(50)) is None


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_a_fault_that_passes_is_not_noticed(made, run, code):
    """Property 6: at every operation, once and twice."""
    save = save_step_50(made, run)
    operations = count_operations(save)
    for number in range(1, operations + 1):
        shutil.rmtree(run.checkpoint(50))
        with failing(number, 2 * number, code=code):
            save()
        assert find_damage(run.checkpoint(50)) is None
