"""What is published is whole, whatever fails in between: the process, the disk or the current."""

import errno
import json
import os
import random
import shutil
import stat

import pytest
from support.failpoints import before_each, count_operations, crash_in_a_child, failing
from support.power_loss import Recorder, after_a_power_cut

from tutelage.errors import StorageError
from tutelage.system import storage
from tutelage.system.storage import (
    MANIFEST,
    clean_up,
    find_damage,
    move_aside,
    remove,
    replace_folder,
    retrying,
    staged_folder,
    write_atomically,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Keep how long was waited before each further try, and do not wait."""
    waited = []
    monkeypatch.setattr(storage.time, "sleep", waited.append)
    return waited


def move_into_place(destination, content, *, files=("weights", "inner/state")):
    with staged_folder(destination) as staged:
        for name in files:
            (staged / name).parent.mkdir(exist_ok=True)
            (staged / name).write_text(f"{content} {name}")


def content_of(destination):
    return (destination / "weights").read_text().split()[0] if destination.exists() else None


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    write_atomically(tmp_path / "a.txt", b"old")
    for number in range(1, 5):
        with (
            failing(number, code=errno.ENOSPC),
            pytest.raises(
                StorageError, match=r"a.txt: No space left on device. [\d,]+ bytes are free there"
            ) as fault,
        ):
            write_atomically(tmp_path / "a.txt", b"new")
        assert fault.value.exit_code == 4
        assert names_in(tmp_path) == ["a.txt"]
        # Once it is renamed, the new one stands there whole, and only its permanence is in doubt.
        assert (tmp_path / "a.txt").read_bytes() == (b"old" if number < 4 else b"new")


def test_a_fault_that_passes_is_tried_again_as_a_whole(tmp_path, no_waiting):
    for code in (errno.EIO, errno.EDQUOT):
        with failing(2, 5, code=code) as made:
            write_atomically(tmp_path / "a.txt", b"new")
        # Write, sync that fails; write, sync, rename that fails; then all four.
        assert made == ["write", "sync", "write", "sync", "rename", "write", "sync", "rename", "sync"]
        assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert no_waiting == [0.1, 0.4] * 2
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_folder_is_removed_though_the_disk_fails_for_a_moment(tmp_path, number):
    place = tmp_path / "folder"
    move_into_place(place, "old")
    with failing(number, number + 1, code=errno.EIO):
        remove(place)
    assert names_in(tmp_path) == []


def test_a_folder_whose_removal_cannot_be_kept_stays_whole(tmp_path):
    place = tmp_path / "folder"
    move_into_place(place, "old")
    with failing(*range(2, 9), code=errno.EIO), pytest.raises(StorageError, match="Input/output error"):
        remove(place)
    assert names_in(tmp_path) == ["folder"]
    assert find_damage(place) is None


def test_a_folder_is_filled_again_where_the_disk_fails_for_a_moment(tmp_path):
    filled = []

    def fill(staged):
        filled.append(staged)
        (staged / "weights").write_text("new weights")

    with failing(3, 4, code=errno.EIO):  # in the first try, and at the beginning of the second
        replace_folder(tmp_path / "folder", fill)
    assert len(filled) == len(set(filled)) == 2
    assert content_of(tmp_path / "folder") == "new"
    assert names_in(tmp_path) == ["folder"]


def test_a_fault_that_stays_is_told_after_three_more_tries(tmp_path, no_waiting):
    with (
        before_each(lambda *_: _raise(errno.EIO)) as made,
        pytest.raises(StorageError, match="Input/output error"),
    ):
        write_atomically(tmp_path / "a.txt", b"new")
    assert (len(made), no_waiting) == (4, [0.1, 0.4, 1.6])
    assert names_in(tmp_path) == []


def test_a_full_disk_and_a_missing_right_are_not_tried_again(no_waiting):
    for code in (errno.ENOSPC, errno.EACCES, errno.EROFS):
        with pytest.raises(OSError, match=os.strerror(code)):
            retrying(lambda code=code: _raise(code))
    assert no_waiting == []


def _raise(code):
    raise OSError(code, os.strerror(code))


def test_a_folder_cannot_be_made_where_a_file_stands(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="Could not write"):
        write_atomically(tmp_path / "file" / "a.txt", b"x")
    with pytest.raises(StorageError, match="Could not write"), staged_folder(tmp_path / "file" / "b"):
        pass


def test_a_published_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    move_into_place(tmp_path / "data", "old", files=("weights", "only-old"))
    move_into_place(tmp_path / "data", "new", files=("weights", "only-new"))
    assert names_in(tmp_path / "data") == [MANIFEST, "only-new", "weights"]
    assert names_in(tmp_path) == ["data"]
    assert find_damage(tmp_path / "data") is None


def test_a_staged_folder_that_fails_changes_nothing(tmp_path):
    move_into_place(tmp_path / "data", "old")
    with pytest.raises(RuntimeError, match="half way"), staged_folder(tmp_path / "data") as staged:
        (staged / "weights").write_text("new")
        raise RuntimeError("half way")
    assert (names_in(tmp_path), content_of(tmp_path / "data")) == (["data"], "old")


def test_every_operation_that_fails_leaves_the_old_folder_or_the_new_one_and_nothing_beside_it(tmp_path):
    """One number after the other; the last operations only clear the old one away."""
    outcomes = []
    for number in range(1, count_operations(lambda: publish_twice(tmp_path / "counted")) + 1):
        place = tmp_path / str(number) / "model"
        move_into_place(place, "old")
        with failing(number, code=errno.ENOSPC):
            try:
                move_into_place(place, "new")
            except StorageError as fault:
                assert "No space left on device" in str(fault)
        clean_up(place.parent)
        assert names_in(place.parent) == ["model"]
        assert find_damage(place) is None
        outcomes.append(content_of(place))
    assert outcomes == sorted(outcomes, reverse=True)  # old before new
    assert {"old", "new"} == set(outcomes)


def publish_twice(place):
    move_into_place(place, "old")
    move_into_place(place, "new")


@pytest.mark.forks
def test_a_crash_before_any_operation_leaves_the_old_folder_or_the_new_one(tmp_path):
    """Property 3: for all k the newest whole one is the old or the new, and the next start clears up."""
    move_into_place(tmp_path / "counted" / "model", "old")
    operations = count_operations(lambda: move_into_place(tmp_path / "counted" / "model", "new"))
    found = []
    for number in range(1, operations + 1):
        place = tmp_path / str(number) / "model"
        move_into_place(place, "old")
        assert crash_in_a_child(number, lambda place=place: move_into_place(place, "new"))
        clean_up(place.parent)
        assert names_in(place.parent) == ["model"]
        assert find_damage(place) is None
        found.append(content_of(place))
        move_into_place(place, "after")  # nothing that was left is in the way
        assert content_of(place) == "after"
    assert set(found) == {"old", "new"}
    assert not crash_in_a_child(operations + 1, lambda: move_into_place(tmp_path / "whole" / "model", "new"))


@pytest.mark.forks
def test_what_is_removed_is_never_half_removed_under_its_name(tmp_path):
    place = tmp_path / "folder"
    move_into_place(place, "old")
    for number in range(1, count_operations(lambda: remove(place)) + 1):
        move_into_place(place, "old")
        assert crash_in_a_child(number, lambda: remove(place))
        assert not place.exists() or find_damage(place) is None
        clean_up(tmp_path)
        assert names_in(tmp_path) in ([], ["folder"])


@pytest.mark.forks
def test_a_swap_whose_old_folder_is_not_put_back_is_caught(tmp_path, monkeypatch):
    """Without the sweep a crash between the two renames would leave neither."""
    place = tmp_path / "model"
    move_into_place(place, "old")
    operations = count_operations(lambda: move_into_place(place, "new"))
    lost = 0
    for number in range(1, operations + 1):
        shutil.rmtree(tmp_path)
        move_into_place(place, "old")
        crash_in_a_child(number, lambda: move_into_place(place, "new"))
        lost += not place.exists()
    assert lost == 1


def power_cuts(tmp_path, states, *, seed):
    """Publish three folders one after the other, removing the one before the last; cut the power at random."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with Recorder(disk) as recorder:
        for step in range(1, 4):
            move_into_place(disk / f"step-{step}", f"step-{step}")
            if step > 1:
                remove(disk / f"step-{step - 1}")
            recorder.mark(step)
    chance = random.Random(seed)
    faults = []
    for number in range(states):
        place = tmp_path / f"cut-{number}"
        promised = after_a_power_cut(recorder, place, chance)
        clean_up(place)
        whole = [path.name for path in place.iterdir() if find_damage(path) is None]
        wrong = [name for name in whole if content_of(place / name) != name]
        newest = max((int(name[-1]) for name in whole), default=0)
        if newest < promised or wrong or len(whole) < len(names_in(place)):
            faults.append((number, promised, names_in(place), wrong))
        shutil.rmtree(place)
    return faults


def test_a_power_cut_leaves_the_step_that_was_published_or_a_later_one(tmp_path):
    assert power_cuts(tmp_path, 150, seed=1) == []


@pytest.mark.nightly
def test_a_thousand_power_cuts_leave_the_step_that_was_published_or_a_later_one(tmp_path):
    """Property 4."""
    assert power_cuts(tmp_path, 1_000, seed=2) == []


@pytest.mark.parametrize("left_out", ["folders", "files"])
def test_a_publication_that_leaves_out_a_sync_is_caught(tmp_path, monkeypatch, left_out):
    sync = storage._sync

    def lazy(path):
        if path.is_dir() != (left_out == "folders"):
            sync(path)

    monkeypatch.setattr(storage, "_sync", lazy)
    assert power_cuts(tmp_path, 150, seed=1)


FILES = ("weights", "inner/state", MANIFEST)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip(path, place=0, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def lose(path):
    path.unlink()


@pytest.mark.parametrize("fault", [truncate, zero, flip, empty, lose])
@pytest.mark.parametrize("file", FILES)
def test_damage_to_any_file_is_found_and_named(tmp_path, file, fault):
    move_into_place(tmp_path / "model", "new")
    fault(tmp_path / "model" / file)
    told = find_damage(tmp_path / "model")
    assert told is not None
    assert file in told


def test_every_single_flipped_bit_is_found(tmp_path):
    move_into_place(tmp_path / "model", "new")
    for file in FILES:
        path = tmp_path / "model" / file
        for place in range(path.stat().st_size):
            for bit in range(8):
                flip(path, place, bit)
                assert find_damage(tmp_path / "model") is not None, (file, place, bit)
                flip(path, place, bit)
    assert find_damage(tmp_path / "model") is None


def test_swapped_and_added_files_are_found(tmp_path):
    move_into_place(tmp_path / "one", "one")
    move_into_place(tmp_path / "two", "two")
    shutil.copy(tmp_path / "one" / "weights", tmp_path / "two" / "weights")
    assert find_damage(tmp_path / "two") == f"weights does not match its checksum in {MANIFEST}"
    (tmp_path / "one" / "added").touch()
    assert find_damage(tmp_path / "one") == f"added is not listed in {MANIFEST}"


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"format": 2, "files": {}}', '{"format": 1, "files": []}', "{", "["]
)
def test_a_manifest_that_is_none_is_found(tmp_path, content):
    move_into_place(tmp_path / "model", "new")
    (tmp_path / "model" / MANIFEST).write_text(content)
    assert MANIFEST in (find_damage(tmp_path / "model") or "")


def test_the_manifest_names_each_file_with_its_size_and_hash(tmp_path):
    move_into_place(tmp_path / "model", "new", files=("weights",))
    # printf 'new weights' | sha256sum
    assert json.loads((tmp_path / "model" / MANIFEST).read_text()) == {
        "format": 1,
        "files": {
            "weights": {
                "bytes": 11,
                "sha256": "75f585ae1855ec1d1ba5e4fc9861e07fbdba3919a965042b2ba78b6fc3e9a18f",
            }
        },
    }


def test_a_folder_is_moved_aside_under_a_name_that_is_free(tmp_path):
    for expected in ("step-1", "step-1-2", "step-1-3"):
        move_into_place(tmp_path / "step-1", "new")
        assert move_aside(tmp_path / "step-1", tmp_path / "aside" / "step-1") == tmp_path / "aside" / expected
    assert names_in(tmp_path) == ["aside"]


def test_the_sweep_touches_nothing_that_was_not_staged(tmp_path):
    kept = [".hidden", ".x.part", ".model.12345678.parts", "model.12345678.part", "notes.txt"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    for name in (".recipe.toml.0123abcd.part", ".model.0123abcd.gone"):
        (tmp_path / name).write_text("staged")
    clean_up(tmp_path)
    assert names_in(tmp_path) == sorted(kept)


def test_files_and_folders_get_the_permissions_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.txt", b"x")
        with staged_folder(tmp_path / "data") as staged:
            (staged / "inside").mkdir()
            (staged / "inside" / "weights").touch(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data" / "inside").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "data" / "inside" / "weights").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750
