"""All contenders get the same rows in the same steps, and what a table says of the machine is what was measured."""

from argparse import Namespace
from collections import Counter

import pytest
from support.tiny_tokenizer import write_tiny_model

from benchmarks import generation, training, work
from benchmarks.contenders import MACHINE, choose, describe, machine_rate
from benchmarks.runners import machine
from benchmarks.runners.job import batches, by_length_within_steps
from benchmarks.workloads import SUPERVISED_SHARE, WORKLOADS, by_length, long_rows
from tutelage.model.loading import load_tokenizer

END = 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"))


def rows_of(lengths):
    return [{"row": row, "ids": [row] * length, "supervised": 1} for row, length in enumerate(lengths)]


def job_of(lengths, *, batch, **settings):
    return {
        "batch": batch,
        "steps": len(lengths) // batch,
        "examples": rows_of(lengths),
        "system_prompt_tokens": 0,
        "workload": "book",
        "rows": "rows of mine.json",
        "order": "given",
        "dtype": "bf16",
        "dtype_chosen_by": "measurement",
        **settings,
    }


def a_round(**rates):
    return {
        MACHINE: {
            "gemm_flops_per_second": rates,
            "machine": {"processor": "A Processor", "cores": 2, "threads": 2},
            "others": 0.0,
        }
    }


@pytest.mark.parametrize("tokens", [100, 5_000])
def test_long_rows_have_their_length_and_share_no_beginning(tokenizer, tokens):
    rows = long_rows(tokenizer, end=END, tokens=tokens, count=12)
    assert {len(row["ids"]) for row in rows} == {tokens}
    assert {row["supervised"] for row in rows} == {tokens * SUPERVISED_SHARE}
    assert {row["ids"][-1] for row in rows} == {END}
    assert len({tuple(row["ids"][:50]) for row in rows}) == len(rows)
    assert rows == long_rows(tokenizer, end=END, tokens=tokens, count=12)


def test_a_longer_run_begins_with_the_rows_of_a_shorter_one(tokenizer):
    few, more = (long_rows(tokenizer, end=END, tokens=100, count=count) for count in (3, 5))
    assert more[:3] == few


def test_the_workloads_of_long_rows_have_steps_of_one_size():
    sizes = {work.batch * work.row_tokens for work in WORKLOADS.values() if work.row_tokens}
    assert sizes == {8_000}


def test_a_peer_takes_the_rows_of_each_step_by_length_and_no_others():
    job = job_of([5, 9, 2, 7, 1, 8, 6, 3], batch=4)
    given, taken = batches(job), batches({**job, "examples": by_length_within_steps(job)})
    assert [[len(row["ids"]) for row in step] for step in taken] == [[2, 5, 7, 9], [1, 3, 6, 8]]
    assert [{row["row"] for row in step} for step in taken] == [
        {row["row"] for row in step} for step in given
    ]


def test_steps_of_like_length_hold_all_rows_and_do_not_come_by_length():
    rows = rows_of([*range(1, 41)])
    ordered = by_length(rows, batch=4)
    assert Counter(row["row"] for row in ordered) == Counter(row["row"] for row in rows)
    steps = [[len(row["ids"]) for row in ordered[begin : begin + 4]] for begin in range(0, 40, 4)]
    assert all(max(step) - min(step) == 3 for step in steps)
    assert steps not in (sorted(steps), sorted(steps, reverse=True))


@pytest.mark.parametrize("module", [training, generation])
def test_on_a_processor_without_bf16_nobody_computes_in_it(module):
    assert {one.dtype for one in module.contenders("fp32")} == {"fp32"}
    assert not [one for one in module.contenders("fp32") if "bf16" in one.variant]
    assert {one.dtype for one in module.contenders("bf16")} == {"bf16", "fp32"}


def test_a_contender_that_would_be_measured_twice_is_refused():
    assert [one.name for one in choose(training.contenders("bf16"), ["trainer-fp32"])] == ["trainer-fp32"]
    with pytest.raises(SystemExit, match="trainer-fp32"):
        choose(training.contenders("fp32"), ["tutelage", "trainer-fp32"])


def test_the_rate_of_the_machine_is_that_of_its_best_library():
    rounds = [
        a_round(bf16={"slow": 1e9, "fast": 3e9}, fp32={"slow": 2e9}),
        a_round(bf16={"slow": 2e9, "fast": 2.5e9}, fp32={"slow": 1e9}),
    ]
    assert (machine_rate(rounds, "bf16"), machine_rate(rounds, "fp32")) == (3e9, 2e9)
    told = describe(rounds, job_of([3, 4, 5], batch=1))
    assert "A Processor, 2 cores, 2 threads; bf16 (chosen by measurement)" in told
    assert "GEMM in bf16, GFLOP/s: 3 (2-3) by fast; 2 (1-2) by slow" in told


def test_a_library_without_the_type_is_left_out():
    torch = pytest.importorskip("torch")

    def broken(left, weight):
        raise RuntimeError("not on this processor")

    assert machine.runs_here(machine.torch_mm, torch.float32)
    assert not machine.runs_here(broken, torch.float32)


def test_a_table_says_how_many_steps_were_timed():
    told = training._describe_work(job_of([3, 9, 5, 5, 7, 7, 9, 9], batch=2))
    assert told.startswith(
        "book: rows of mine.json, 8 tokens a row, 0% shared within a step; 4 steps of 2, 2 timed"
    )


def test_the_dtype_is_the_measured_one_or_the_one_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(
        "tutelage.system.runtime.autotune", lambda cache: Namespace(threads=1, dtype="bfloat16")
    )
    assert work._dtype_facts("auto") == {"dtype": "bf16", "dtype_chosen_by": "measurement"}
    assert work._dtype_facts("fp32") == {"dtype": "fp32", "dtype_chosen_by": "--dtype"}
