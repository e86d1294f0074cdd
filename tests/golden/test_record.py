"""The golden record leaves out what differs between two runs, and its comparison names each kind of difference."""

import json

import pytest
from golden.record import (
    class_values,
    differences,
    has_reached,
    main,
    pair_values,
    record_of_rows,
    record_of_run,
)

BEFORE = {
    "weights": {"adapter_model.safetensors": "ab"},
    "summary": {"loss": {"best": 0.5}, "sets": {}},
    "events": {"kinds": ["sample", "step", "step"]},
}


def changed(**parts):
    return json.loads(json.dumps(BEFORE)) | parts


@pytest.fixture
def compare(tmp_path, capsys):
    def call(before, after):
        paths = [tmp_path / "before.json", tmp_path / "after.json"]
        for path, record in zip(paths, (before, after), strict=True):
            path.write_text(json.dumps({"commit": path.name, "scenarios": {"quickstart": record}}))
        code = main(["compare", *map(str, paths)])
        return code, capsys.readouterr().out.splitlines()

    return call


def test_equal_records_have_no_difference(compare):
    assert compare(BEFORE, changed()) == (0, ["0 changed, 0 removed, 0 added"])


def test_a_changed_value_is_printed_and_fails(compare):
    code, lines = compare(BEFORE, changed(weights={"adapter_model.safetensors": "cd"}))
    assert code == 1
    assert lines[0].split() == [
        "changed",
        "quickstart.weights.adapter_model.safetensors:",
        '"ab"',
        "->",
        '"cd"',
    ]


def test_a_removed_field_is_printed_and_fails(compare):
    code, lines = compare(BEFORE, changed(summary={"sets": {}}))
    assert (code, lines[0].split()) == (1, ["removed", "quickstart.summary.loss.best:", "0.5"])


def test_a_scenario_that_was_not_run_again_fails():
    assert [kind for kind, _ in differences({"quickstart": BEFORE}, {})] == ["removed"] * 4


def test_an_added_field_is_printed_and_no_fault(compare):
    code, lines = compare(
        BEFORE, changed(summary={"loss": {"best": 0.5, "last": 0.6}, "sets": {"mine": {"rows": 3}}})
    )
    assert code == 0
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["added", "quickstart.summary.loss.last:"],
        ["added", "quickstart.summary.sets.mine.rows:"],
    ]


def test_a_field_that_objects_of_a_list_gain_is_an_added_one():
    rows = {"classes": [{"label": "good"}, {"label": "bad"}], "confusion": [[3, 1], [0, 4]]}
    more = rows | {"classes": [{"label": "good", "rows": 4}, {"label": "bad"}]}
    assert list(differences(rows, more)) == [("added", "classes.0.rows: 4")]
    fewer = rows | {"classes": rows["classes"][:1]}
    assert list(differences(rows, fewer)) == [("removed", 'classes.1.label: "bad"')]


def test_events_of_a_new_kind_are_added_and_leave_the_order_of_the_others(compare):
    code, lines = compare(BEFORE, changed(events={"kinds": ["started", "sample", "step", "started", "step"]}))
    assert (code, lines[0].split()) == (0, ["added", "quickstart.events.kinds:", "started"])
    code, lines = compare(BEFORE, changed(events={"kinds": ["step", "sample", "step"]}))
    assert (code, lines[0].split()[0]) == (1, "changed")


def test_an_added_field_of_rows_changes_no_hash_of_the_others():
    rows = [{"row": 1, "response": "a"}, {"row": 2, "response": "b"}]
    more = record_of_rows([one | {"tokens": 1} for one in rows])
    assert [kind for kind, _ in differences(record_of_rows(rows), more)] == ["added"]
    moved = record_of_rows([{"row": 1, "response": "b"}, {"row": 2, "response": "a"}])
    assert [line.split(":")[0] for _, line in differences(record_of_rows(rows), moved)] == ["sha256.response"]


def test_times_rates_memory_and_paths_are_left_out_of_a_record(tmp_path):
    def run(name, seconds):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "adapter_model.safetensors").write_bytes(b"weights")
        training = {
            "seconds": seconds,
            "examples_per_second": 1 / seconds,
            "peak_memory_bytes": int(seconds * 1e6),
            "best_step": 20,
        }
        judges = {"judge": {"path": str(folder), "used_seconds": seconds, "requests": 3}}
        summary = {"training": training, "evaluation": {"bytes": 7, "judges": judges}}
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "environment.json").write_text(json.dumps({"tutelage": name, "torch": "2.13"}))
        (folder / "events.jsonl").write_text(
            json.dumps({"event": "step", "step": 1, "loss": 1.5, "seconds": seconds})
            + '\n{"event": "advanced", "done": 1}\n{"event": "estimate", "step": 0}\n'
        )
        return record_of_run(folder)

    record = run("first", 2.0)
    assert record == run("second", 3.0)
    assert record["summary"] == {
        "training": {"best_step": 20},
        "evaluation": {"bytes": 7, "judges": {"judge": {"requests": 3}}},
    }
    assert record["environment"] == {"torch": "2.13"}
    assert record["events"] == {"kinds": ["step"], "losses": [1.5]}


def test_a_step_is_reached_once_its_line_is_whole(tmp_path):
    events = tmp_path / "events.jsonl"
    assert not has_reached(2, events)
    events.write_text('{"event": "step", "step": 1}\n{"event": "step", "step": 2')
    assert not has_reached(2, events)
    events.write_text('{"event": "step", "step": 1}\n{"event": "step", "step": 2}\n')
    assert has_reached(2, events)


@pytest.mark.parametrize("values", [class_values, pair_values])
def test_the_rows_are_the_same_each_time_and_no_two_alike(values):
    assert values() == values()
    assert len({json.dumps(value) for value in values()}) == len(values())
