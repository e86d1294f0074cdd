"""What is measured of a machine is kept for that machine alone, and the fastest way is what is taken."""

import json

import pytest
import torch

from tutelage import machine
from tutelage.machine import FILE, Machine, measure, measured_machine


@pytest.fixture
def measurements(monkeypatch):
    """Count measurements, and make them quick."""
    taken: list[Machine] = []

    def measured() -> Machine:
        taken.append(Machine(threads=1 + len(taken), dtype="float32"))
        return taken[-1]

    monkeypatch.setattr(machine, "measure", measured)
    return taken


def test_a_machine_is_measured_once(measurements, tmp_path):
    first, again = measured_machine(tmp_path / "cache"), measured_machine(tmp_path / "cache")
    assert first == again == Machine(1, "float32")
    assert len(measurements) == 1


@pytest.mark.parametrize("name", ["processor", "cores", "torch", "OMP_NUM_THREADS"])
def test_another_machine_is_measured_anew(measurements, tmp_path, name):
    measured_machine(tmp_path)
    kept = json.loads((tmp_path / FILE).read_text())
    kept["measured_for"][name] = "another"
    (tmp_path / FILE).write_text(json.dumps(kept))
    assert measured_machine(tmp_path) == Machine(2, "float32")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"measured_for": null}', "\\x00"])
def test_a_damaged_file_is_measured_anew(measurements, tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert measured_machine(tmp_path) == Machine(1, "float32")
    assert measured_machine(tmp_path) == Machine(1, "float32")


def test_a_cache_that_cannot_be_written_costs_no_run(measurements, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert measured_machine(tmp_path / "cache") == Machine(1, "float32")


@pytest.mark.parametrize("fastest", [(4, "float32"), (4, "bfloat16"), (2, "float32"), (2, "bfloat16")])
def test_the_fastest_way_is_taken_and_the_threads_are_as_before(monkeypatch, fastest):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    left = []
    monkeypatch.setattr(torch, "set_num_threads", left.append)

    def seconds(threads, dtype, *, budget):
        return 1.0 if (threads, dtype) == fastest else 2.0

    monkeypatch.setattr(machine, "_seconds_of", seconds)
    assert measure() == Machine(*fastest)
    assert left == [4]


def test_the_users_own_number_of_threads_is_not_questioned(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    asked = []
    monkeypatch.setattr(machine, "_seconds_of", lambda threads, dtype, budget: asked.append(threads) or 1.0)
    measure()
    assert asked == [3, 3]
