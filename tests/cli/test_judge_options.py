"""`--judge` and `--labels` of the verbs: answers that are there are judged, and a doubtful judge leaves with 5."""

import json

import pytest
from support.command_line import contents
from support.fake_judges import RIGGED, judge_script
from support.rows import alpaca_values, write_rows
from support.scripted_server import Answer, scripted_server
from support.tiny_tokenizer import write_tiny_model

from tutelage.llm import server_responses
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

QUICK = [
    "--set", "training.max_steps=2",
    "--set", "training.dtype=float32",
    "--set", "adapter.r=2",
    "--set", "evaluation.limit=4",
    "--set", "evaluation.max_new_tokens=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A folder with a tiny model and the words that begin a run on it."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def begin(tmp_path, monkeypatch, evaluated):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    write_rows(tmp_path / "my.json", alpaca_values(80))
    return ["--data", "my.json", "--output", "runs/mine", "--set", f"model.name_or_path={evaluated}", *QUICK]


def name_at(server):
    return f"openai:judge@{server.address}/v1"


def test_a_run_with_a_judge_shows_and_records_what_it_says(tutelage, begin, tmp_path):
    run = RunFolder(tmp_path / "runs" / "mine")
    with scripted_server(judge_script()) as server:
        done = tutelage("run", *begin, "--judge", name_at(server))
        assert (done.code, done.err) == (0, "")
        assert f"Requests to {name_at(server)}" in done.out
        assert "Its self-test passed" in done.out
        judges = read_json(run.summary)["evaluation"]["judges"]
        assert judges[name_at(server)]["rows"] == 4
        assert 'id="judges"' in run.report.read_text()

        # The judge stands in the recipe now: the same again asks nobody.
        asked, judged = len(server.requests), (run.judges.read_bytes(), run.judgements.read_bytes())
        again = tutelage("evaluate", "runs/mine")
        assert (again.code, again.err) == (0, "")
        assert "running only the judges" in again.out
        assert len(server.requests) == asked
        assert (run.judges.read_bytes(), run.judgements.read_bytes()) == judged
    before = contents(run.root)
    assert tutelage("evaluate", "runs/mine").code == 0  # the judge is gone, and nobody notices
    log = run.events.name
    assert {**contents(run.root), log: before[log]} == before  # a log has a line more each time


def test_answers_are_judged_afterwards_without_asking_the_models_again(tutelage, begin, tmp_path):
    run = RunFolder(tmp_path / "runs" / "mine")
    assert tutelage("run", *begin).code == 0
    answers = [run.responses(variant).read_bytes() for variant in ("base", "tuned")]
    (tmp_path / "labels.json").write_text(
        json.dumps(
            [
                {"row": row["row"], "variant": "tuned", "score": 0}
                for row in read_json_lines(run.responses("base"))
            ]
        )
    )
    with scripted_server(judge_script()) as fair, scripted_server(RIGGED["always 90"]) as rigged:
        dry = tutelage("evaluate", "runs/mine", "--judge", name_at(fair), "--dry-run")
        assert dry.code == 0 and "judgements.jsonl" in dry.out
        assert not fair.requests
        judged = tutelage(
            "evaluate",
            "runs/mine",
            "--judge",
            name_at(fair),
            "--judge",
            name_at(rigged),
            "--labels",
            "labels.json",
        )
    assert (judged.code, judged.err) == (5, "")
    assert "base model answers" not in judged.out
    assert [run.responses(variant).read_bytes() for variant in ("base", "tuned")] == answers
    assert "is not trustworthy on this data, because its self-test failed (an empty answer" in judged.out
    assert "Against 4 labels" in judged.out


def test_an_outage_leaves_with_5_and_the_same_command_goes_on(tutelage, begin, tmp_path):
    assert tutelage("run", *begin).code == 0
    fair, is_up = judge_script(), False
    with scripted_server(lambda body: fair(body) if is_up else Answer(status=503)) as server:
        down = tutelage("evaluate", "runs/mine", "--judge", name_at(server))
        assert down.code == 5
        assert "requests have no response yet" in down.out and "it answered 503" in down.out
        is_up = True
        up = tutelage("evaluate", "runs/mine")
        assert (up.code, up.err) == (0, "")


def test_other_settings_than_those_of_the_answers_are_refused(tutelage, begin):
    assert tutelage("run", *begin).code == 0
    refused = tutelage("evaluate", "runs/mine", "--judge", "ollama:x", "--set", "evaluation.limit=3")
    assert refused.code == 2
    assert "evaluation.limit (was 4, now 3)" in refused.err


def test_a_remote_judge_in_a_recipe_is_refused_before_anything_is_done(tutelage, begin, tmp_path):
    (tmp_path / "theirs.toml").write_text('[evaluation]\njudges = ["openai:m@https://judge.example/v1"]\n')
    refused = tutelage("run", "theirs.toml", *begin)
    assert refused.code == 2
    assert "would send the test rows to judge.example" in refused.err
    assert not (tmp_path / "runs").exists()
    dry = tutelage("run", "theirs.toml", *begin, "--judge", "openai:m@https://judge.example/v1", "--dry-run")
    assert dry.code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judge", "llama3"], "is not the name of a language model"),
        (["--judge", "gguf:none.gguf"], "cannot be read"),
        (["--labels", "labels.json"], "there is no judge"),
        (["--judge", "ollama:a", "--labels", "none.json"], "do not exist"),
        (["--judge", "ollama:a", "--judge", "ollama:a"], "lists a judge twice"),
    ],
)
def test_judges_at_fault_are_told_before_the_first_row_is_read(words, said, tutelage, begin, tmp_path):
    refused = tutelage("run", *begin, *words)
    assert refused.code == 2
    assert said in refused.err
    assert not (tmp_path / "runs").exists()
