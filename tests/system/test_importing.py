"""Modules that take seconds are imported without a search for cycles, which is on again afterwards."""

import gc
import importlib

import pytest

from tutelage.system.importing import import_quickly

MODULE = "kept = [[] for _ in range(100_000)]\n"


@pytest.fixture
def collections_seen():
    """What was searched for cycles meanwhile."""
    seen = []

    def note(phase, info):
        seen.append((phase, info["generation"]))

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


@pytest.fixture
def module(tmp_path, monkeypatch):
    def made(text):
        (tmp_path / f"made_{tmp_path.name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return f"made_{tmp_path.name}"

    yield made
    gc.unfreeze()


def test_no_cycles_are_searched_for_while_modules_are_imported(module, collections_seen):
    name = module(MODULE)
    gc.collect()  # so that none is due already
    collections_seen.clear()
    import_quickly([name])
    assert not collections_seen
    assert gc.isenabled()


def test_an_ordinary_import_searches(module, collections_seen):
    importlib.import_module(module(MODULE))
    assert collections_seen


def test_the_search_is_on_again_after_an_import_that_failed(module):
    with pytest.raises(ZeroDivisionError):
        import_quickly([module("1 / 0\n")])
    assert gc.isenabled()
