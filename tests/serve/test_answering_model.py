"""A model that is opened long after it was hashed is opened only if it is still what was hashed."""

import os
import queue
import shutil

import pytest
from support.sessions import locate, trained_in
from support.tiny_tokenizer import write_tiny_model

from tutelage.config.recipe_file import load
from tutelage.errors import ModelError
from tutelage.model import sources
from tutelage.model.sources import check_files_unchanged, locate_model
from tutelage.serve.engines import load_engine
from tutelage.serve.generation_requests import GenerationRequest
from tutelage.serve.torch_engine import TorchEngine


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "tiny")


def located(folder, cache, **options):
    return locate_model(str(folder), cache=cache, progress=lambda line: None, **options)


def change_a_byte(path):
    """Change one byte, and put the dates back, as a failing disk would."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_is_the_same_is_opened(folder, tmp_path):
    check_files_unchanged(located(folder, tmp_path))


def test_a_byte_in_any_file_is_noticed(folder, tmp_path):
    source = located(folder, tmp_path)
    for name in files_of(folder):
        if name.endswith((".json", ".safetensors", ".jinja")):
            kept = (folder / name).read_bytes()
            change_a_byte(folder / name)
            with pytest.raises(ModelError) as fault:
                check_files_unchanged(source)
            assert fault.value.code in ("model.checksum_mismatch", "model.file_unreadable")
            (folder / name).write_bytes(kept)
    check_files_unchanged(source)


@pytest.mark.parametrize("name", ["added_tokens.json", "chat_template.jinja"])
def test_a_file_that_came_or_went_is_noticed(folder, tmp_path, name):
    source = located(folder, tmp_path)
    path = folder / name
    if path.exists():
        path.unlink()
    else:
        path.write_text("{}")
    with pytest.raises(ModelError) as fault:
        check_files_unchanged(source)
    assert fault.value.code == "model.checksum_mismatch"
    assert name in str(fault.value)


def test_where_checksums_are_skipped_none_are_taken(folder, tmp_path, monkeypatch):
    source = located(folder, tmp_path, unchecked="known")
    monkeypatch.setattr(sources, "file_sha256", lambda path: pytest.fail(f"{path} was hashed"))
    check_files_unchanged(source)


@pytest.fixture
def own_base(tuned_run, tmp_path):
    """A run whose base model is a copy of its own, to be damaged, and that base."""
    recipe = load(tuned_run.recipe, {}, []).recipe
    folder = tmp_path / "base"
    shutil.copytree(recipe.model.name_or_path, folder)
    loaded = load(tuned_run.recipe, {}, [f"model.name_or_path={folder}"])
    return loaded, folder


@pytest.mark.parametrize("damaged", [True, False])
def test_the_base_that_is_asked_later_is_the_one_that_was_hashed(tuned_run, own_base, damaged):
    loaded, folder = own_base
    made = load_engine("torch", trained_in(tuned_run, loaded), tuned_run.export, context=64, at_once=1)
    try:
        if damaged:
            change_a_byte(folder / "model.safetensors")
        fault = last_piece(made.engine, "base").fault
        assert (fault and fault.code) == ("model.checksum_mismatch" if damaged else None)
        assert last_piece(made.engine, "tuned").fault is None  # which was opened before
    finally:
        made.engine.close()


def test_so_it_is_for_a_converted_model_whose_manifest_names_its_files(tuned_run, own_base, monkeypatch):
    loaded, folder = own_base
    source = locate(loaded)
    monkeypatch.setattr(sources, "find_damage", lambda place: f"{place.name} differs")
    converted = sources.ModelSource(folder, "x", source.fingerprint, None)
    with pytest.raises(ModelError) as fault:
        check_files_unchanged(converted)
    assert fault.value.code == "model.checksum_mismatch"


def last_piece(engine, variant):
    assert isinstance(engine, TorchEngine)
    pieces = queue.SimpleQueue()
    engine.ask(GenerationRequest(variant, (40, 41), 2), pieces.put)
    while not (piece := pieces.get(timeout=60)).finish_reason:
        pass
    return piece
