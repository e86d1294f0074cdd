"""`evaluate --checkpoint` and `compare RUN@STEP`: one checkpoint of a run, evaluated beside the run's own weights."""

import json
import shutil

import pytest
from support.command_line import contents
from support.fake_judges import judge_script
from support.rows import alpaca_values, write_rows
from support.scripted_server import scripted_server

from tutelage.llm import server_responses
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.system.storage import find_damage

# A learning rate that makes answers of every step others than those before.
SETTINGS = {
    "training.max_steps": 4,
    "training.save_steps": 1,
    "training.eval_steps": 4,
    "training.save_total_limit": 4,
    "training.learning_rate": 0.02,
    "training.lr_scheduler_type": "constant",
    "training.dtype": "float32",
    "evaluation.limit": 12,
    "evaluation.max_new_tokens": 6,
    "evaluation.general_text": "false",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, model):
    """A folder with the rows and two runs of a tiny model: one with an adapter, one of all weights."""
    return {"root": tmp_path_factory.mktemp("trained"), "model": model}


@pytest.fixture
def place(trained, tutelage, monkeypatch):
    root = trained["root"]
    monkeypatch.chdir(root)
    monkeypatch.setenv("TUTELAGE_CACHE", str(root / "cache"))
    if not (root / "my.json").exists():
        write_rows(root / "my.json", alpaca_values(80))
        for kind in ("lora", "full"):
            settings = {**SETTINGS, "model.name_or_path": trained["model"], "training.method": kind}
            words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            done = tutelage("run", "--data", "my.json", "--output", kind, *words)
            assert (done.code, done.err) == (0, "")
    return root


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_checkpoint_is_evaluated_with_its_own_weights_and_the_runs_evaluation_stays(tutelage, place, kind):
    before = contents(place / kind)
    done = tutelage("evaluate", kind, "--checkpoint", 1)
    assert (done.code, done.err) == (0, "")
    after = contents(place / kind)
    assert {name: after[name] for name in before} == before
    own, first = RunFolder(place / kind), RunFolder(place / kind, 1)
    assert f"tutelage compare {kind} {kind}@1" in done.out
    base = [read_json_lines(run.responses("base")) for run in (own, first)]
    tuned = [read_json_lines(run.responses("tuned")) for run in (own, first)]
    assert base[0] == base[1]
    log_probs = [[one["reference_log_prob"] for one in answers] for answers in tuned]
    assert log_probs[0] != log_probs[1]
    assert find_damage(first.evaluation) is None
    assert "matches its manifest.json" in tutelage("verify", kind).out.split(str(first.evaluation.name))[-1]


def test_the_best_checkpoint_gives_what_the_run_gave(tutelage, place):
    own = RunFolder(place / "lora")
    best = RunFolder(place / "lora", read_json(own.training)["best_step"])
    assert tutelage("evaluate", "lora", "--checkpoint", best.step, "--overwrite").code == 0
    assert read_json(best.metrics) == read_json(own.metrics)


def test_checkpoints_are_compared_row_by_row_with_the_run(tutelage, place):
    for step in (1, 2):
        if not RunFolder(place / "lora", step).metrics.exists():
            assert tutelage("evaluate", "lora", "--checkpoint", step).code == 0
    record = json.loads(tutelage("compare", "lora", "lora@1", "lora@2", "--json").out)
    assert [group["name"] for group in record["groups"]] == ["lora", "lora@1", "lora@2"]
    assert record["groups"][1]["differs"] == ["the weights (was the best, now those of step 1)"]
    for group, folder in zip(record["groups"], (None, 1, 2), strict=True):
        figures = read_json(RunFolder(place / "lora", folder).metrics)["metrics"]["bits_per_byte"]
        assert group["means"]["bits_per_byte"] == pytest.approx(figures["tuned"])
    turned = tutelage("compare", "lora", "lora@1", "--baseline", "lora@1")
    assert "(was those of step 1, now the best)" in turned.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "lora", "--checkpoint", "9"], "It has the steps 1, 2, 3, 4"),
        (["evaluate", "lora", "--checkpoint", "-1"], "holds no checkpoint of step -1"),
        (["evaluate", "lora", "--checkpoint", "9", "--dry-run"], "holds no checkpoint of step 9"),
        (
            ["compare", "lora", "lora@9"],
            "lora has no checkpoint of step 9. It has the steps 1, 2, 3, 4",
        ),
        (["compare", "lora", "lora@3"], "Run `tutelage evaluate lora --checkpoint 3` first."),
        (["compare", "lora", "lora@best"], "lora@best has no step number after the @"),
        (["compare", "lora", "lora@"], "lora@ has no step number after the @"),
        (["compare", "lora@1", "lora@1"], "lora@1 is given twice"),
        (["compare", "lora", "nothing@1"], "nothing@1 is not a folder"),
    ],
)
def test_a_step_that_is_not_there_is_one_message_that_names_those_that_are(tutelage, place, words, said):
    before = contents(place)
    refused = tutelage(*words)
    assert refused.code == 2
    assert said in " ".join(refused.err.split())
    assert refused.err.count("error[") == 1
    assert contents(place) == before


def test_an_evaluation_of_a_checkpoint_is_not_replaced_unasked(tutelage, place):
    first = RunFolder(place / "lora", 1)
    if not first.metrics.exists():
        assert tutelage("evaluate", "lora", "--checkpoint", 1).code == 0
    refused = tutelage("evaluate", "lora", "--checkpoint", 1)
    assert (refused.code, "already holds an evaluation" in refused.err) == (2, True)
    shown = tutelage("evaluate", "lora", "--checkpoint", 1, "--dry-run")
    assert f"{first.evaluation.relative_to(place)} (exists: needs --overwrite)" in shown.out
    assert "report.html" not in shown.out


def test_a_damaged_checkpoint_is_not_evaluated(tutelage, place):
    shutil.copytree(place / "lora", place / "damaged")
    run = RunFolder(place / "damaged")
    weights = run.checkpoint(2) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    refused = tutelage("evaluate", "damaged", "--checkpoint", 2)
    assert refused.code == 4
    assert "adapter_model.safetensors does not match its checksum" in refused.err


def test_a_file_of_a_checkpoints_evaluation_that_was_lost_is_told_with_its_command(tutelage, place):
    shutil.copytree(place / "lora", place / "lost")
    run = RunFolder(place / "lost", 1)
    assert tutelage("evaluate", "lost", "--checkpoint", 1, "--overwrite").code == 0
    run.responses("tuned").unlink()
    refused = tutelage("compare", "lost", "lost@1")
    assert "write it again with `tutelage evaluate lost --checkpoint 1 --overwrite`" in refused.err


def test_a_judge_is_asked_about_a_checkpoint_and_its_manifest_names_what_was_said(
    tutelage, place, monkeypatch
):
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    shutil.copytree(place / "lora", place / "judged")
    own, second = RunFolder(place / "judged"), RunFolder(place / "judged", 2)
    before = own.recipe.read_bytes()
    with scripted_server(judge_script()) as server:
        name = f"openai:judge@{server.address}/v1"
        assert tutelage("evaluate", "judged", "--checkpoint", 2, "--judge", name, "--overwrite").code == 0
        assert not own.judges.exists()
        assert own.recipe.read_bytes() == before
        assert read_json(second.judges)["judges"][name]["trusted"]
        assert tutelage("evaluate", "judged", "--judge", name).code == 0
    for run in (own, second):
        assert find_damage(run.evaluation) is None
    assert "judge" in tutelage("compare", "judged", "judged@2").out


def test_training_anew_removes_the_evaluations_of_the_old_checkpoints(tutelage, place):
    shutil.copytree(place / "lora", place / "anew")
    assert tutelage("evaluate", "anew", "--checkpoint", 1, "--overwrite").code == 0
    assert tutelage("train", "anew", "--overwrite").code == 0
    assert not RunFolder(place / "anew").evaluations_at.exists()
