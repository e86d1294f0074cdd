"""A named set whose metric is `judge`, through the verbs."""

import json

import pytest
from support.fake_judges import RIGGED, judge_script
from support.rows import alpaca_values, write_rows
from support.scripted_server import scripted_server

from tutelage.llm import server_responses
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

RECIPE = """\
[data]
source = "my.json"
[model]
name_or_path = "MODEL"
[adapter]
r = 2
[training]
max_steps = 2
dtype = "float32"
[evaluation]
limit = 12
max_new_tokens = 6
general_text = false

[evaluation.sets.towns]
source = "towns.jsonl"
metric = "judge"
"""


@pytest.fixture
def place(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    write_rows(tmp_path / "my.json", alpaca_values(80))
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("MODEL", str(model)))
    rows = [{"instruction": f"Where is town {n}?", "input": "", "output": f"north {n}"} for n in range(12)]
    (tmp_path / "towns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    return tmp_path


def test_the_judge_scores_the_set_and_what_it_says_is_shown_kept_and_compared(tutelage, place):
    run = RunFolder(place / "run")
    with scripted_server(judge_script()) as server:
        name = f"openai:judge@{server.address}/v1"
        done = tutelage("run", "recipe.toml", "--output", "run", "--judge", name)
        assert (done.code, done.err) == (0, "")
        assert "Test set towns: 12 rows, scored by the judges" in done.out
        assert f"Test set towns, by {name}" in done.out
        evaluation = read_json(run.summary)["evaluation"]
        assert evaluation["sets"]["towns"] == {
            "source": "towns.jsonl",
            "metric": "judge",
            "rows": 12,
            "dropped": 1,
        }
        assert evaluation["judges"][name]["sets"]["towns"]["rows"] == 12
        assert all("score" not in row["tuned"] for row in read_json_lines(run.test_set("towns")))

        asked = len(server.requests)
        again = tutelage("evaluate", "run")
        assert (again.code, len(server.requests)) == (0, asked)
        assert "running only the judges" in again.out
        assert tutelage("evaluate", "run", "--checkpoint", 2).code == 0
    assert "set towns" in tutelage("compare", "run", "run@2").out
    paired = json.loads(tutelage("compare", "run", "run@2", "--json").out)["groups"][1]["sets"]["paired"]
    tuned = read_json(run.judges)["judges"][name]["sets"]["towns"]["tuned"]
    assert paired[f"towns by {name}"]["base"] == tuned


def test_without_a_judge_nothing_begins(tutelage, place):
    refused = tutelage("run", "recipe.toml", "--output", "run")
    assert refused.code == 2
    assert "evaluation.sets.towns.metric is judge, but there is no judge. Add --judge NAME" in refused.err
    assert not (place / "run").exists()


def test_a_judge_that_is_not_trusted_leaves_with_5(tutelage, place):
    with scripted_server(RIGGED["always 90"]) as server:
        name = f"openai:judge@{server.address}/v1"
        done = tutelage("run", "recipe.toml", "--output", "run", "--judge", name)
    assert done.code == 5
    assert f"No verdict by {name} on towns" in done.out
