"""Run folders that are not there, not whole, or of something else."""

import io
import shutil

import numpy
import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows, write_split


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_a_run_that_is_not_there_is_told(refused, place, verb):
    (place / "empty").mkdir()
    assert refused(verb, "runs/none").startswith("runs/none does not exist. Name a run folder")
    assert refused(verb).startswith("No run folder was given. Name one")
    assert refused(verb, "empty").startswith("empty holds no recipe.toml, so it is not a run.")


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_a_stage_before_its_turn_is_told_which_comes_first(refused, place, model, verb):
    (place / "run").mkdir()
    (place / "run" / "recipe.toml").write_text(f"[model]\nname_or_path = '{model}'\n")
    first = "prepare" if verb in ("train", "report") else "train"
    assert f"Run `tutelage {first} run` first" in refused(verb, "run")


def test_an_existing_run_is_not_written_over(refused, place):
    (place / "out" / "data").mkdir(parents=True)
    (place / "out" / "data" / "preparation.json").write_text("{}")
    (place / "out" / "recipe.toml").write_text("[training]\nmax_steps = 1\n")
    told = (
        "Could not read out/data/preparation.json: it has no source. If it was lost, edited or cut short,"
        " write it again with `tutelage prepare out --overwrite`."
    )
    assert refused("prepare", "--output", "out") == told
    assert refused("prepare", "out") == told


@pytest.mark.parametrize("extra", [[], ["--overwrite"], ["--dry-run"]])
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_an_output_that_is_no_run_folder_is_refused_even_with_overwrite(refused, place, verb, extra):
    (place / "file").write_text("mine")
    (place / "home").mkdir()
    (place / "home" / "letter.txt").write_text("mine")
    assert "file is a file, but a run needs a folder." in refused(verb, "--output", "file", *extra)
    assert "home is not empty and not a run." in refused(verb, "--output", "home", *extra)


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_a_project_with_a_recipe_of_its_own_is_not_taken_for_a_run(refused, place, extra):
    (place / "project" / "model").mkdir(parents=True)
    (place / "project" / "model" / "weights").write_text("mine")
    (place / "project" / "recipe.toml").write_text("[training]\nmax_steps = 1  # mine\n")
    told = "project is not empty and not a run."
    assert told in refused("prepare", "project/recipe.toml", "--output", "project", *extra)
    assert told in refused("run", "project", *extra)


def test_overwriting_with_data_at_fault_keeps_the_old_run(refused_file, place):
    (place / "out" / "data").mkdir(parents=True)
    (place / "out" / "data" / "preparation.json").write_text("{}")
    (place / "out" / "recipe.toml").write_text("[training]\nmax_steps = 1\n")
    (place / "out" / "report.html").write_text("old")
    assert "malformed JSON" in refused_file("[{]", "--overwrite")


@pytest.fixture
def tuned_run(capsys, place, model):
    """A run that is trained and evaluated on the tiny model."""
    write_rows(place / "rows.json", alpaca_values(60))
    settings = [
        f"model.name_or_path={model}",
        "training.max_steps=1",
        "training.dtype=float32",
        "adapter.r=2",
    ]
    settings += ["evaluation.limit=2", "evaluation.max_new_tokens=4", "training.sample_prompts=0"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert CommandLine(capsys)("run", "--data", "rows.json", "--output", "out", *words).code == 0
    return place / "out"


def test_settings_that_a_later_stage_cannot_honour_change_nothing(refused, tuned_run, model):
    for verb, words, told in [
        ("train", ["--set", "adapter.target_modules=['none']"], "does not fit this model"),
        (
            "train",
            ["--set", "data.prompt_template=alpaca"],
            "data.prompt_template (was 'chat', now 'alpaca')",
        ),
        ("evaluate", ["--set", "evaluation.max_new_tokens=500"], "Lower evaluation.max_new_tokens."),
        ("evaluate", ["--set", "data.prompt_template=alpaca"], "data.prompt_template"),
        ("evaluate", ["--set", f"model.name_or_path={model.parent}/other"], "model.name_or_path"),
        ("evaluate", ["--set", "training.method=full"], "training.method"),
    ]:
        assert told in refused(verb, tuned_run, "--overwrite", *words), (verb, words)


def test_a_run_that_could_not_begin_does_not_replace_the_one_before(
    refused, tuned_run, place, model, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    damaged = shutil.copytree(model, place / "damaged")
    (damaged / "model.safetensors").write_bytes(b"not weights")
    for setting, told in [
        ("evaluation.max_new_tokens=120", "Lower evaluation.max_new_tokens."),
        ("adapter.target_modules=['none']", "does not fit this model"),
        ("training.device=cuda", "torch sees no GPU here"),
        (f"model.name_or_path={damaged}", "The model in"),
    ]:
        assert told in refused("run", tuned_run, "--overwrite", "--set", setting), setting


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
@pytest.mark.parametrize("part", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_damaged_adapter_is_told_before_any_answer(capsys, tuned_run, verb, part):
    path = tuned_run / "model" / part
    if path.suffix == ".json":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    before = contents(tuned_run)
    words = ["Name a fruit.", "--base"] if verb == "generate" else ["--overwrite"]
    outcome = CommandLine(capsys)(verb, tuned_run, *words)
    assert (outcome.code, "base" in outcome.out) == (2, False), outcome
    assert "The tuned model in" in outcome.err
    assert f"`tutelage train {tuned_run} --overwrite`" in outcome.err
    assert contents(tuned_run) == before


@pytest.mark.parametrize("content", ["{}", "[]", "7", '{"rows": {}}'])
def test_a_damaged_file_of_a_run_is_told_with_the_command_that_writes_it(refused, tuned_run, content):
    readers = [
        ("evaluation/tuned.jsonl", "evaluate", ["report"]),
        ("evaluation/metrics.json", "evaluate", ["report"]),
        ("model/training.json", "train", ["report"]),
        ("data/preparation.json", "prepare", ["train", "evaluate", "report", "generate"]),
    ]
    for name, writer, verbs in readers:
        whole = (tuned_run / name).read_bytes()
        (tuned_run / name).write_text(content)
        for verb in verbs:
            extra = {"generate": ["Name a fruit."], "report": []}.get(verb, ["--overwrite"])
            message = refused(verb, tuned_run, *extra)
            assert message.startswith(f"Could not read {tuned_run / name}: "), message
            assert f"`tutelage {writer} {tuned_run} --overwrite`" in message
        (tuned_run / name).write_bytes(whole)


def test_what_was_edited_so_that_no_report_can_be_made_of_it_is_told(refused, tuned_run):
    for name, old, new, verb in (
        (
            "evaluation/metrics.json",
            '"primary_metric": "exact_match"',
            '"primary_metric": "none"',
            "evaluate",
        ),
        ("model/training.json", '"seconds": ', '"seconds": 1e999, "was": ', "train"),
    ):
        whole = (tuned_run / name).read_text()
        assert old in whole
        (tuned_run / name).write_text(whole.replace(old, new))
        folder, file = name.split("/")
        assert refused("report", tuned_run) == (
            f"{tuned_run / folder} has changed since it was written: {file} does not match its checksum in"
            f" manifest.json. Run `tutelage {verb} {tuned_run} --overwrite` to write it again."
        )
        (tuned_run / name).write_text(whole)


def test_a_fault_of_the_report_itself_is_not_put_down_to_the_files(tuned_run, capsys, monkeypatch):
    def fails(run):
        raise KeyError("ours")

    monkeypatch.setattr("tutelage.stages.report.summarise", fails)
    outcome = CommandLine(capsys)("report", tuned_run)
    assert outcome.code == 1
    assert "Unexpected KeyError: 'ours'. This is a bug in Tutelage" in outcome.err


def test_an_evaluation_of_another_version_is_told_by_every_verb_that_reads_it(refused, tuned_run):
    figures = tuned_run / "evaluation" / "metrics.json"
    figures.write_text(figures.read_text().replace('"format":', '"other":', 1))
    shutil.copytree(tuned_run, "other")
    for verb, *words in (("report",), ("compare", "other"), ("export", "--to", "peft")):
        assert refused(verb, tuned_run, *words) == (
            f"{figures} was written by a different version of Tutelage. Write it again: `tutelage evaluate"
            f" {tuned_run} --overwrite`."
        )


def test_rows_that_an_older_version_prepared_are_told_by_every_verb_that_reads_them(refused, tuned_run):
    prepared = tuned_run / "data" / "preparation.json"
    prepared.write_text(prepared.read_text().replace('"format": 3', '"format": 2', 1))
    for verb, *words in (
        ("prepare",),
        ("train",),
        ("evaluate", "--overwrite"),
        ("report",),
        ("export", "--to", "peft"),
    ):
        assert refused(verb, tuned_run, *words) == (
            f"{prepared} was written by a different version of Tutelage. Write it again: `tutelage prepare"
            f" {tuned_run} --overwrite`."
        )


def test_a_setting_of_the_preparation_that_cannot_be_is_told_with_its_file(refused, tuned_run):
    path = tuned_run / "data" / "preparation.json"
    path.write_text(path.read_text().replace('"prompt_template": "chat"', '"prompt_template": "chatt"'))
    message = refused("train", tuned_run, "--overwrite")
    assert message.startswith(
        f"Could not read {path}: data.prompt_template is 'chatt', but it should be 'auto', 'alpaca'"
    )


def test_answers_that_are_lost_are_told_with_the_command_that_writes_them(refused, tuned_run):
    (tuned_run / "evaluation" / "tuned.jsonl").unlink()
    assert f"`tutelage evaluate {tuned_run} --overwrite`" in refused("report", tuned_run)


def test_prepared_rows_that_were_edited_are_not_blamed_on_the_model(refused, tuned_run):
    data = tuned_run / "data"
    train, test, ids = data / "train.jsonl", data / "test.jsonl", data / "train.ids.npy"
    unknown = numpy.load(ids)
    unknown[3] = 65_000
    for verb, path, content, told in [
        ("train", train, b"", f"Could not read {train}: its length does not match the table of its rows."),
        ("report", train, train.read_bytes()[:-9], f"Could not read {train}: its length does not match"),
        ("report", train, train.read_bytes().replace(b'"prompt"', b'"prempt"'), "has no prompt"),
        ("train", ids, ids.read_bytes()[:-2], f"Could not read {ids}: "),
        ("train", ids, numpy_bytes(unknown), "holds the token id 65000"),
        ("evaluate", test, b"", f"Could not read {test}: its length does not match the table of its rows."),
    ]:
        whole = path.read_bytes()
        path.write_bytes(content)
        again = [] if verb == "report" else ["--overwrite"]
        message = refused(verb, tuned_run, *again)
        assert told in message
        assert "--overwrite" in message
        assert "Choose another model" not in message
        path.write_bytes(whole)


def test_without_test_rows_there_is_nothing_to_evaluate(refused, tuned_run):
    write_split(tuned_run / "data", "test", [])
    told = f"`tutelage prepare {tuned_run} --overwrite --set data.test_size=0.1`"
    assert told in refused("evaluate", tuned_run, "--overwrite")


def numpy_bytes(array):
    target = io.BytesIO()
    numpy.save(target, array)
    return target.getvalue()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report", "--set", "evaluation.limit=1"], "evaluation.limit (was 2, now 1)"),
        (["report", "--skip-checksums"], "--skip-checksums"),
        (["generate", "Name a fruit.", "--set", "evaluation.limit=1"], "evaluation.limit (was 2, now 1)"),
        (["generate", "Name a fruit.", "--set", "data.source=nothing.json"],
         "data.source (was 'rows.json', now 'nothing.json')"),
        (["generate", "Name a fruit.", "--set", "evaluation.batch_size=7"], "evaluation.batch_size (was 64, now 7)"),
        (["generate", "Name a fruit.", "--overwrite"], "--overwrite"),
    ],
)  # fmt: skip
def test_a_setting_that_a_verb_has_no_use_for_is_refused_by_name(refused, tuned_run, words, told):
    verb, *rest = words
    assert told in refused(verb, tuned_run, *rest)


@pytest.mark.parametrize("verb", ["train", "evaluate", "report", "generate"])
def test_an_empty_recipe_of_a_run_is_not_taken_for_the_defaults(refused, tuned_run, verb):
    (tuned_run / "recipe.toml").write_text("")
    assert "recipe.toml is empty" in refused(verb, tuned_run)


def test_a_report_of_a_run_with_an_edited_recipe_is_refused(refused, tuned_run):
    recipe = tuned_run / "recipe.toml"
    whole = recipe.read_text()
    recipe.write_text(whole.replace('prompt_template = "chat"', 'prompt_template = "alpaca"'))
    assert "was prepared with different settings: data.prompt_template" in refused("report", tuned_run)
    recipe.write_text(whole.replace("max_steps = 1", "max_steps = 2"))
    assert "was trained with different settings: training.max_steps" in refused("report", tuned_run)


def test_a_dry_run_refuses_what_the_real_one_would(refused, place, tuned_run, model, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    other = f"model.name_or_path={model}"
    write_rows(place / "more.json", alpaca_values(60))
    prepared = shutil.copytree(tuned_run, place / "prepared")
    shutil.rmtree(prepared / "model")
    for words, told in [
        (["prepare", "--data", "nothing.json"], "nothing.json does not exist."),
        (["prepare", "--data", "nothing.json", "--set", other], "nothing.json does not exist."),
        (["run", "--set", "model.name_or_path=nope"], "model.name_or_path is `nope`"),
        (["prepare", "--data", "instruction-data", "--set", "model.name_or_path=nope"], "is `nope`"),
        (["run", tuned_run, "--set", "evaluation.max_new_tokens=120"], "Lower evaluation.max_new_tokens."),
        (["run", tuned_run, "--set", "training.device=cuda"], "torch sees no GPU here"),
        (["train", tuned_run, "--set", "data.prompt_template=alpaca"],
         "data.prompt_template (was 'chat', now 'alpaca')"),
        (["evaluate", prepared], f"Run `tutelage train {prepared}` first"),
        (["evaluate", tuned_run, "--set", "evaluation.max_new_tokens=120"], "Lower evaluation.max_new_tokens."),
        (["evaluate", tuned_run, "--set", "data.prompt_template=alpaca"],
         "data.prompt_template (was 'chat', now 'alpaca')"),
        (["generate", tuned_run], "No instruction was given."),
    ]:  # fmt: skip
        assert told in refused(*words, "--dry-run"), words


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("prepare", "No partial files were left"),
        ("prepare --overwrite", "No partial files were left"),
        ("run", "Finished work is kept. Run the same command again to resume."),
        (
            "run --overwrite",
            "is kept. Run the same command again without --overwrite to resume.",
        ),
        ("check", "No file was changed"),
        ("data stats --data starter", "No file was changed"),
    ],
)
def test_an_interrupted_command_says_what_is_left_of_it(tutelage, place, monkeypatch, words, left):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tutelage.data.sources.sources.find_source", interrupt)
    has_output = words.split()[0] in ("prepare", "run")
    outcome = tutelage(*words.split(), *(("--output", "out") if has_output else ()))
    assert outcome.code == 75
    assert "error[run.interrupted]" in outcome.err
    assert left in outcome.err
    assert ("kept" in outcome.err) == ("kept" in left)
    assert not (place / "out" / "data").exists()


def test_an_instruction_longer_than_the_context_is_told(refused, tuned_run):
    assert "context" in refused("generate", tuned_run, "again and " * 100)


def test_a_dry_run_counts_the_rows_that_would_be_read_and_not_those_of_the_old_run(capsys, place, tuned_run):
    write_rows(place / "more.json", alpaca_values(300))
    shown = CommandLine(capsys)(
        "run", tuned_run, "--data", "more.json", "--split", "position", "--overwrite", "--dry-run"
    )
    assert (shown.code, "over 255 examples" in shown.out) == (0, True), shown.out[-300:]


def test_a_target_that_is_not_there_is_told_even_beside_an_output(refused, tuned_run):
    assert "runs/typo does not exist" in refused("evaluate", "runs/typo", "--output", tuned_run)


@pytest.mark.parametrize(
    "output", ["file/inside", "x" * 300, "a\x00b", "/dev/null", "dangling", "dangling/inside"]
)
def test_an_output_that_no_folder_can_be_is_told(refused, place, model, output):
    (place / "file").write_text("mine")
    (place / "dangling").symlink_to("nowhere")
    write_rows(place / "rows.json", alpaca_values(60))
    settings = ["--set", f"model.name_or_path={model}"]
    message = refused("prepare", "--data", "rows.json", "--output", output, *settings)
    assert "Unexpected" not in message
    assert "folder" in message


@pytest.mark.parametrize("verb", ["prepare", "run"])
@pytest.mark.parametrize("rest", [(), ("--dry-run",)])
def test_target_modules_that_do_not_fit_stop_before_anything_is_written(capsys, place, model, verb, rest):
    write_rows(place / "rows.json", alpaca_values(60))
    settings = (f"model.name_or_path={model}", "adapter.target_modules=q_proj,v_prj")
    words = [word for setting in settings for word in ("--set", setting)]
    outcome = CommandLine(capsys)(verb, "--data", "rows.json", "--output", "out", *words, *rest)
    assert outcome.code == 2
    assert outcome.err.startswith("error[settings.target_modules_unknown]: ")
    assert "'v_prj'" in outcome.err
    assert not (place / "out").exists()


def test_training_again_with_target_modules_that_do_not_fit_changes_nothing(capsys, tuned_run):
    before = contents(tuned_run)
    for rest in ((), ("--dry-run",)):
        words = (
            "train",
            tuned_run,
            "--overwrite",
            "--set",
            "adapter.target_modules=['input_layernorm']",
            *rest,
        )
        outcome = CommandLine(capsys)(*words)
        assert (outcome.code, outcome.err.split(":")[0]) == (2, "error[settings.target_modules_unsuitable]")
    assert contents(tuned_run) == before
