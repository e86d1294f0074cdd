import os
import re
import subprocess
import sys
import tomllib

import pytest
from support.command_line import contents
from support.rows import alpaca_values, write_rows
from support.tiny_gguf import write_tiny_gguf

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import walk
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

QUICK = [
    "--set", "training.max_steps=3",
    "--set", "training.dtype=float32",
    "--set", "adapter.r=2",
    "--set", "evaluation.limit=4",
    "--set", "evaluation.max_new_tokens=8",
]  # fmt: skip
METRICS = {"exact_match", "token_f1", "rouge_l", "chrf", "stopped", "bits_per_byte"}


@pytest.fixture
def place(workplace):
    write_rows(workplace / "my.json", alpaca_values(80))
    return workplace


@pytest.fixture
def begin(model):
    """The words that begin a run on the tiny model."""
    return ["--data", "my.json", "--output", "runs/mine", "--set", f"model.name_or_path={model}", *QUICK]


def check_run_folder(run):
    """Hold the run folder against its contract."""
    for path in (run.recipe, run.environment, run.summary, run.report, run.events, run.ledger, run.preparation,
                 *map(run.split, ("train", "test", "validation")), *map(run.responses, ("base", "tuned")),
                 run.scores, run.metrics, run.training):  # fmt: skip
        assert path.is_file(), path
    assert {
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "README.md",
    } <= {path.name for path in run.model.iterdir()}
    assert all(re.fullmatch(r"step-\d{6}", path.name) for path in run.checkpoints.iterdir())
    assert any(run.checkpoints.iterdir())
    check_summary(run)
    check_events(run)
    assert not list(run.root.rglob(".*")), "something staged was left behind"


def check_summary(run):
    summary = read_json(run.summary)
    rows = {name: len(read_json_lines(run.split(name))) for name in ("train", "test", "validation")}
    assert summary["rows"] == rows
    assert {"before", "after"} <= set(summary["loss"]["validation"])
    training = summary["training"]
    assert {"examples_per_second", "computed_tokens", "distinct_tokens", "supervised_tokens", "seconds",
            "peak_memory_bytes", "dtype"} <= set(training)  # fmt: skip
    assert (training["steps"], training["dtype"]) == (3, "float32")
    assert 0 < training["distinct_tokens"] <= training["computed_tokens"]
    evaluation = summary["evaluation"]
    assert evaluation["verdict"] in ("better", "worse", "no difference detectable", "no verdict")
    assert evaluation["minimum_detectable_effect"] is None or evaluation["minimum_detectable_effect"] >= 0
    assert set(evaluation["metrics"]) == METRICS
    for metric in evaluation["metrics"].values():
        assert {"base", "tuned", "difference", "low", "high"} <= set(metric)
        assert metric["difference"] == pytest.approx(metric["tuned"] - metric["base"])


def check_events(run):
    events = read_json_lines(run.events)
    steps = [event["step"] for event in events if event["event"] == "step"]
    validations = [event["step"] for event in events if event["event"] == "validation"]
    assert steps == [1, 2, 3]
    assert (validations[0], validations[-1]) == (0, 3)
    supervised = {row["row"]: row["supervised"] for row in read_json_lines(run.split("train"))}
    assert sum(event["examples"] for event in events if event["event"] == "step") == min(24, 3 * 8)
    assert all(event["supervised_tokens"] > 0 for event in events if event["event"] == "step")
    assert min(supervised.values()) > 0


def test_the_verbs_one_after_the_other_make_a_whole_run(tutelage, place, begin):
    run = RunFolder(place / "runs" / "mine")

    prepared = tutelage("prepare", *begin)
    assert (prepared.code, prepared.err) == (0, "")
    assert "80 rows from my.json: 80 kept, 0 repaired, 0 dropped." in prepared.out
    assert "Next: tutelage train runs/mine" in prepared.out
    assert {path.name for path in run.root.iterdir()} == {
        "recipe.toml",
        "history.json",
        "events.jsonl",
        "data",
    }

    trained = tutelage("train", "runs/mine")
    assert (trained.code, trained.err) == (0, "")
    assert "3 steps over 24 examples" in trained.out
    waits = [line for line in trained.out.splitlines() if line.endswith(" …")]
    assert waits[:4] == [
        "Loading the model …",
        "Checking the model's results against one row at a time …",
        "Timing a step …",
        "Validating before the first step …",
    ]
    assert "\n  tutelage evaluate runs/mine\n" in trained.out

    evaluated = tutelage("evaluate", "runs/mine")
    assert (evaluated.code, evaluated.err) == (0, "")
    assert len(read_json_lines(run.responses("tuned"))) == 4
    check_run_folder(run)

    run.report.unlink()
    run.summary.unlink()
    reported = tutelage("report", "runs/mine")
    assert (reported.code, "Report: runs/mine/report.html\n" in reported.out) == (0, True)
    check_run_folder(run)

    before = contents(run.root)
    draw = ("generate", "runs/mine", "Name a fruit.", "--temperature", 5)
    drawn = [tutelage(*draw, "--seed", seed).out for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    for odd in (["--temperature", -1], ["--top-p", 0, "--temperature", 1], ["--top-k", 3], ["--seed", 4]):
        refused = tutelage("generate", "runs/mine", "Name a fruit.", *odd)
        assert refused.code == 2
        assert odd[0].removeprefix("--") in refused.err  # programs read the same message
    answered = tutelage("generate", "runs/mine", "Name a fruit.", "--base")
    assert answered.code == 0
    assert answered.err.splitlines() == [
        "Loading the model …",
        "Generating with the base model …",
        "Generating with the tuned model …",
    ]
    assert answered.out.splitlines()[0] == "base"
    assert "tuned" in answered.out.splitlines()
    assert contents(run.root) == before
    assert_refuses_to_overwrite(tutelage, run)
    check_dry_runs_of_later_verbs(tutelage, run)


def assert_refuses_to_overwrite(tutelage, run):
    before = contents(run.root)
    for words, what in [
        (
            ["prepare", run.root, "--prompt-template", "phi3"],
            "already holds a run with different prompt and settings.",
        ),
        (["prepare", run.root, "--data", "starter"], "already holds a run with different data."),
        (["run", "--output", run.root, "--data", "my.json"], "already holds a run"),
        (["train", run.root], "already holds a tuned model. Add --overwrite to replace it."),
        (["evaluate", run.root], "already holds an evaluation. Add --overwrite to replace it."),
    ]:
        refused = tutelage(*words)
        assert (refused.code, what in refused.err) == (2, True), refused
        assert contents(run.root) == before
    again = tutelage("prepare", run.root)
    assert (again.code, again.err) == (0, "")
    assert "are already prepared from the same data, model, prompt and settings." in again.out
    assert contents(run.root) == before


def check_dry_runs_of_later_verbs(tutelage, run):
    before = contents(run.root)
    for verb in ("prepare", "run", "train", "evaluate", "report", "generate"):
        asked = ["Name a fruit."] if verb == "generate" else []
        shown = tutelage(verb, run.root, *asked, "--dry-run")
        assert (shown.code, shown.err) == (0, ""), verb
        assert "Dry run: nothing was written." in shown.out
        assert contents(run.root) == before


def test_run_does_it_all_in_one_go(tutelage, place, begin):
    done = tutelage("run", *begin)
    assert (done.code, done.err) == (0, "")
    for part in ("1 Prepare", "2 Tune", "3 Evaluate", "Report: runs/mine/report.html", "Next steps"):
        assert part in done.out
    assert done.out.count("wanted") == 3
    run = RunFolder(place / "runs" / "mine")
    check_run_folder(run)
    assert run.report.read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")
    # The recipe that is kept makes the same run again.
    again = tutelage("run", run.recipe, "--output", "runs/again")
    assert again.code == 0, again.err
    for name in ("train", "test", "validation"):
        assert RunFolder(place / "runs" / "again").split(name).read_bytes() == run.split(name).read_bytes()
    assert losses(RunFolder(place / "runs" / "again")) == losses(run)


def losses(run):
    return [event["loss"] for event in read_json_lines(run.events) if "loss" in event]


def test_a_run_can_be_replaced_when_that_is_asked_for(tutelage, place, begin):
    assert tutelage("prepare", *begin).code == 0
    assert tutelage("prepare", *begin, "--prompt-template", "phi3").code == 2
    assert tutelage("prepare", *begin, "--split", "position", "--overwrite").code == 0
    run = RunFolder(place / "runs" / "mine")
    assert read_json(run.preparation)["split"] == "position"
    assert tomllib.loads(run.recipe.read_text())["data"]["split"] == "position"


def test_training_goes_on_from_other_settings_only_after_another_preparation(tutelage, place, begin):
    assert tutelage("prepare", *begin).code == 0
    before = contents(place / "runs")
    refused = tutelage("train", "runs/mine", "--set", "data.prompt_template=alpaca")
    assert refused.code == 2
    assert (
        "was prepared with different settings: data.prompt_template (was 'chat', now 'alpaca')" in refused.err
    )
    assert contents(place / "runs") == before


def test_without_test_rows_a_run_says_so_and_reports_what_it_has(tutelage, place, begin):
    shares = ["--set", "data.test_size=0", "--set", "data.train_size=1"]
    done = tutelage("run", *begin, *shares)
    assert (done.code, done.err) == (0, "")
    assert "Note[evaluate.no_test_rows]" in done.out
    assert "there are no validation rows" in done.out
    assert set(read_json(RunFolder(place / "runs" / "mine").summary)) == {"rows", "loss", "training"}


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9])
def test_few_rows_train_each_row_once_an_epoch(tutelage, place, model, rows):
    write_rows(place / "few.json", alpaca_values(rows))
    run = RunFolder(place / "few")
    tiny = [
        "data.test_size=0",
        "data.train_size=1",
        "training.num_train_epochs=2",
        "training.dtype=float32",
    ]
    settings = [word for one in [*tiny, f"model.name_or_path={model}"] for word in ("--set", one)]
    assert tutelage("prepare", "--data", "few.json", "--output", run.root, *settings).code == 0
    trained = tutelage("train", run.root)
    assert trained.code == 0, trained.err
    steps = [event for event in read_json_lines(run.events) if event["event"] == "step"]
    assert len(steps) == 2 * -(-rows // 8)
    assert sum(step["examples"] for step in steps) == 2 * rows


def test_full_weights_are_tuned_by_one_setting(tutelage, place, begin):
    done = tutelage("run", *("training.method=full" if word == "adapter.r=2" else word for word in begin))
    assert (done.code, done.err) == (0, "")
    model = RunFolder(place / "runs" / "mine").model
    assert (model / "model.safetensors").is_file()
    assert not (model / "adapter_config.json").exists()


@pytest.mark.parametrize("verb", ["run", "prepare"])
def test_a_dry_run_of_a_new_run_shows_every_setting_and_writes_nothing(tutelage, place, begin, verb):
    before = contents(place)
    shown = tutelage(verb, *begin, "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert contents(place) == before
    for name, _, _ in walk(Recipe()):
        assert name in shown.out
    assert re.search(r"training.max_steps +3 +--set", shown.out)
    assert re.search(r"data.source +my.json +--data", shown.out)
    assert re.search(r"training.seed +123 +default", shown.out)
    for name in ("recipe.toml", "data") + (("model", "report.html") if verb == "run" else ()):
        assert f"runs/mine/{name}" in shown.out
    if verb == "run":
        assert "3 steps over" in shown.out


def test_a_gguf_model_is_made_ready_once_and_then_estimated_like_any_other(tutelage, place):
    write_tiny_gguf(place / "tiny.gguf")
    words = ["--data", "my.json", "--set", "model.name_or_path=tiny.gguf", *QUICK]
    before = tutelage("run", *words, "--dry-run")
    assert (before.code, "has not been fetched or converted yet" in before.out) == (0, True), before
    first = tutelage("prepare", *words, "--output", "first")
    second = tutelage("prepare", *words, "--output", "second")
    assert (first.code, second.code) == (0, 0)
    assert first.err.count("Converting tiny.gguf") == 1
    assert second.err == ""
    assert "3 steps over" in tutelage("run", *words, "--dry-run").out


def test_a_misspelt_model_is_not_made_ready(tutelage, place):
    refused = tutelage("run", "--data", "my.json", "--set", "model.name_or_path=smollm2-135m-instrct")
    assert (refused.code, refused.out) == (2, "1 Prepare\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["generate", "--help"]])
def test_help_imports_no_torch_and_writes_nothing(tmp_path, words):
    script = (
        "import sys\nfrom tutelage.cli.main import main\n"
        f"try:\n    main({words!r})\nfinally:\n"
        "    print('heavy:', [name for name in ('torch', 'transformers', 'peft', 'numpy') if name in sys.modules])\n"
    )
    done = in_a_process([sys.executable, "-c", script], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert contents(tmp_path) == {}


def test_the_module_can_be_run_by_its_name(tmp_path):
    done = in_a_process([sys.executable, "-m", "tutelage", "--help"], tmp_path)
    assert done.returncode == 0
    for verb in ("run", "prepare", "train", "evaluate", "report", "generate"):
        assert re.search(rf"\b{verb}\b", done.stdout)


def in_a_process(command, folder):
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_selftest_shows_that_every_way_gives_the_same_step(tutelage, place, model):
    outcome = tutelage("selftest", model)
    assert outcome.code == 0
    assert "All 20 ways give the same step." in outcome.out
    assert re.search(r"float32\s+1 x 8, prefix trees\s+\d\.\de-\d\d", outcome.out)


def test_selftest_of_a_way_that_differs_is_refused(tutelage, place, model, monkeypatch):
    monkeypatch.setattr("tutelage.training.equivalence.GRADIENT_LIMIT", -1.0)
    outcome = tutelage("selftest", model)
    assert outcome.code == 2
    assert "10 of 20 ways give a different step than one example at a time." in outcome.err
    assert "differs" in outcome.out
