"""What is measured of a machine is kept for that machine alone, and the fastest way is what is taken."""

import json

import pytest
import torch

from tutelage.system import autotune as autotune_module
from tutelage.system.autotune import (
    FILE,
    QUIET_SHARE,
    Autotuned,
    _Timed,
    autotune,
    has_bfloat16_products,
    measure,
)


@pytest.fixture
def measurements(monkeypatch):
    """Count measurements, and make them quick."""
    taken: list[Autotuned] = []

    def measured() -> tuple[Autotuned, bool]:
        taken.append(Autotuned(threads=1 + len(taken), dtype="float32"))
        return taken[-1], True

    monkeypatch.setattr(autotune_module, "measure", measured)
    return taken


def test_a_machine_is_measured_once(measurements, tmp_path):
    first, again = autotune(tmp_path / "cache"), autotune(tmp_path / "cache")
    assert first == again == Autotuned(1, "float32")
    assert len(measurements) == 1


def test_what_was_measured_beside_other_work_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(autotune_module, "measure", lambda: (Autotuned(2, "float32"), False))
    assert autotune(tmp_path) == Autotuned(2, "float32")
    monkeypatch.setattr(autotune_module, "measure", lambda: (Autotuned(1, "bfloat16"), True))
    assert autotune(tmp_path) == Autotuned(1, "bfloat16")
    monkeypatch.setattr(autotune_module, "measure", lambda: (Autotuned(2, "float32"), True))
    assert autotune(tmp_path) == Autotuned(1, "bfloat16")


@pytest.mark.parametrize(
    "name", ["processor", "instructions", "bfloat16_products", "cores", "torch", "OMP_NUM_THREADS"]
)
def test_another_machine_is_measured_anew(measurements, tmp_path, name):
    autotune(tmp_path)
    kept = json.loads((tmp_path / FILE).read_text())
    kept["measured_for"][name] = "another"
    (tmp_path / FILE).write_text(json.dumps(kept))
    assert autotune(tmp_path) == Autotuned(2, "float32")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"measured_for": null}', "\\x00"])
def test_a_damaged_file_is_measured_anew(measurements, tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert autotune(tmp_path) == Autotuned(1, "float32")
    assert autotune(tmp_path) == Autotuned(1, "float32")


def test_a_cache_that_cannot_be_written_costs_no_run(measurements, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert autotune(tmp_path / "cache") == Autotuned(1, "float32")


def timed(monkeypatch, seconds_of, *, share=0.95, most=4):
    """Let each way take what `seconds_of` says, with a share of the processor; return the numbers of threads set."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: most)
    left = []
    monkeypatch.setattr(torch, "set_num_threads", left.append)
    monkeypatch.setattr(autotune_module, "_time", lambda *way, budget: _Timed(seconds_of(*way), share))
    return left


@pytest.mark.parametrize("fastest", [(4, "float32"), (4, "bfloat16"), (2, "float32"), (2, "bfloat16")])
def test_the_fastest_way_is_taken_and_the_threads_are_as_before(monkeypatch, fastest):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    left = timed(monkeypatch, lambda *way: 1.0 if way == fastest else 2.0)
    assert measure() == (Autotuned(*fastest), True)
    assert left == [4]


@pytest.mark.parametrize("share", [QUIET_SHARE, QUIET_SHARE - 0.01])
def test_beside_other_work_fewer_threads_look_faster_and_are_not_believed(monkeypatch, share):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    timed(monkeypatch, lambda threads, dtype: threads + (dtype == "float32"), share=share)
    is_quiet = share >= QUIET_SHARE
    assert measure() == (Autotuned(2 if is_quiet else 4, "bfloat16"), is_quiet)


def test_a_share_is_what_was_got_of_what_all_threads_could_have_had(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    wall, worked = iter([0.0, 1.0, 4.0]), iter([10.0, 16.0])
    monkeypatch.setattr(autotune_module.time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(autotune_module.time, "process_time", lambda: next(worked))
    # Two layers, of 1 and 3 seconds; 6 of the 8 seconds that two threads could have had.
    assert autotune_module._time(2, "float32", budget=2.0) == _Timed(seconds=1.0, share=0.75)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_users_own_number_of_threads_is_not_questioned(monkeypatch, share):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    asked = []
    timed(monkeypatch, lambda threads, dtype: asked.append(threads) or 1.0, share=share, most=3)
    assert measure() == (Autotuned(3, "float32"), True)
    assert asked == [3, 3]


def test_bfloat16_is_native_only_where_its_kernel_gives_the_product(monkeypatch):
    kernels = torch.ops.mkldnn
    if not hasattr(kernels, "_linear_pointwise"):
        assert not has_bfloat16_products()
        return

    def refused(*_):
        raise RuntimeError(
            "bf16 path needs the cpu support avx_ne_convert or avx512bw, avx512vl and avx512dq"
        )

    def packed(weight, _):
        return weight

    def product(x, weight, *_):
        return x @ weight.t()

    for reorder, linear, expected in (
        (packed, product, True),
        (refused, product, False),
        (packed, refused, False),
        (packed, lambda *given: 2 * product(*given), False),  # a kernel that runs and gives another product
    ):
        monkeypatch.setattr(kernels, "_reorder_linear_weight", reorder)
        monkeypatch.setattr(kernels, "_linear_pointwise", linear)
        assert has_bfloat16_products.__wrapped__() is expected
