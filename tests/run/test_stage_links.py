"""A stage folder that is a link: it is replaced or removed itself, and what it leads to stays as it is."""

import pytest

from tutelage.errors import RunFolderError
from tutelage.run.folder import ExportFolder
from tutelage.run.lock import locked_folder
from tutelage.system.storage import clean_up, find_damage, remove, replace_folder


@pytest.fixture
def linked(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "own").write_text("precious")
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / "model"
    link.symlink_to(tmp_path / "far", target_is_directory=True)
    return link


def fill(staged):
    (staged / "weights").write_text("new")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_link_gives_way_to_the_folder_that_is_published(linked, tmp_path):
    replace_folder(linked, fill)
    assert not linked.is_symlink()
    assert find_damage(linked) is None
    assert names(linked.parent) == ["model"]
    assert (tmp_path / "far" / "own").read_text() == "precious"


def test_a_link_to_nothing_gives_way_too(tmp_path):
    place = tmp_path / "model"
    place.symlink_to(tmp_path / "nowhere")
    replace_folder(place, fill)
    assert names(tmp_path) == ["model"]
    assert (place / "weights").read_text() == "new"


def test_a_link_is_removed_and_what_it_leads_to_stays(linked, tmp_path):
    remove(linked)
    assert names(linked.parent) == []
    assert (tmp_path / "far" / "own").read_text() == "precious"


@pytest.mark.parametrize("what", ["old", "gone", "part"])
def test_a_link_that_a_crash_left_aside_is_cleared_up(linked, tmp_path, what):
    replace_folder(linked.with_name("data"), fill)
    left = linked.with_name(f".data.0123abcd.{what}")
    linked.rename(left)
    clean_up(linked.parent)
    assert names(linked.parent) == ["data"]
    assert (tmp_path / "far" / "own").read_text() == "precious"


def test_a_link_that_was_being_replaced_is_put_back(linked):
    linked.rename(linked.with_name(".model.0123abcd.old"))
    clean_up(linked.parent)
    assert linked.is_symlink()


def test_of_two_exports_into_one_folder_the_second_is_refused_and_disturbs_nothing(tmp_path):
    exports = ExportFolder(tmp_path / "out")
    with locked_folder(exports.root, exports.root / ".lock"):
        (exports.root / ".gguf.0123abcd.part").mkdir()
        with pytest.raises(RunFolderError) as told, locked_folder(exports.root, exports.root / ".lock"):
            clean_up(exports.root)
        assert told.value.code == "run.locked"
        assert (exports.root / ".gguf.0123abcd.part").exists()
    with locked_folder(exports.root, exports.root / ".lock"):  # it is free again
        pass
    assert names(exports.root) == [".gguf.0123abcd.part"]
