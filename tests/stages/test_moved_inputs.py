"""Runs whose data or base model is spelled otherwise, or stands elsewhere: known by their hash, and by nothing else."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model

import tutelage
from tutelage.config.recipe_file import load, setting_named
from tutelage.data.sources import sources
from tutelage.errors import Interrupted, TutelageError
from tutelage.run.events import StepTaken
from tutelage.run.folder import read_json
from tutelage.run.lines import read_json_lines
from tutelage.stages.prepare import prepare
from tutelage.stages.report import report
from tutelage.stages.run import run_all
from tutelage.stages.run_folders import earlier_run, new_run
from tutelage.stages.session import Session

QUICK = {
    "max_steps": 4,
    "eval_steps": 2,
    "dtype": "float32",
    "r": 2,
    "limit": 4,
    "max_new_tokens": 8,
    "general_text": False,
    "sample_prompts": 0,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder of work with rows, a model, and a run that was stopped after its first checkpoint."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(root)
    write_rows(root / "my.json", alpaca_values(80))
    write_tiny_model(root / "models" / "tiny")
    assert go_on("my.json", stop_after=3) is Interrupted
    return root


def session_on(data, *, run="runs/mine", listener=lambda event: None, **settings):
    given = {"name_or_path": "models/tiny", **QUICK, **settings}
    overrides = {f"--set {setting_named(name)}": value for name, value in given.items()}
    folder, loaded = new_run(None, {"--data data.source": str(data), **overrides}, root=Path(run))
    return Session(folder, loaded, listener=listener)


def go_on(data, *, stop_after=None, **given):
    """Run all stages; return the code of the error that ended them, Interrupted, or None."""

    def listen(event):
        if isinstance(event, StepTaken) and event.step == stop_after:
            session.interruption.requested = True

    session = session_on(data, listener=listen, **given)
    try:
        run_all(session)
    except Interrupted:
        return Interrupted
    except TutelageError as fault:
        return fault.code
    return None


def make_another(model):
    """Change the weights of a model a little, so that only their hash tells."""
    place = model / "model.safetensors"
    save_file(
        {name: weight + 0.01 for name, weight in load_file(place).items()}, place, metadata={"format": "pt"}
    )


def went_on(run):
    """Tell whether a training that is finished went on from a checkpoint, and accepted no change."""
    result = read_json(run / "model" / "training.json")
    return bool(result["resumed"]) and not result["allowed_changes"]


@pytest.mark.parametrize(
    "spelling", ["./my.json", "{root}/my.json", "link.json", "copy.txt", "deep/../my.json"]
)
def test_the_same_data_under_another_path_go_on_as_the_same(project, spelling):
    (project / "deep").mkdir()
    (project / "link.json").symlink_to(project / "my.json")
    shutil.copy(project / "my.json", project / "copy.txt")
    assert go_on(spelling.format(root=project)) is None
    assert went_on(project / "runs" / "mine")
    assert load(project / "runs" / "mine" / "recipe.toml", {}, []).recipe.data.source == "my.json"
    report(session_on(spelling.format(root=project)))
    prepare(session_on(spelling.format(root=project)))


@pytest.mark.parametrize(("source", "beside"), [("starter", "runs/starter"), ("hf:tiny/rows", "rows")])
def test_what_has_the_name_of_data_that_are_no_path_is_not_read(project, monkeypatch, source, beside):
    recipe = project / "runs" / "mine" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('source = "my.json"', f'source = "{source}"'))
    (project / beside).mkdir()
    shutil.copy(project / "my.json", project / beside)
    read = []
    monkeypatch.setattr(sources, "check_path", lambda path, settings: read.append(path) or path)
    _, loaded = earlier_run(project / "runs" / "mine", {})
    assert (read, loaded.data_at) == ([], None)


def test_other_data_of_the_same_name_are_a_change(project):
    (project / "other").mkdir()
    write_rows(project / "other" / "my.json", alpaca_values(79))
    assert go_on("other/my.json") == "run.settings_changed"
    write_rows(project / "my.json", alpaca_values(79))
    assert go_on("my.json") == "run.settings_changed"


def test_rows_of_a_program_are_the_same_in_a_run_folder_that_was_moved(project):
    given = {"name_or_path": "models/tiny", **QUICK}
    rows = alpaca_values(80)

    def stop(event):
        if isinstance(event, StepTaken) and event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tutelage.finetune(rows, output="runs/first", listener=stop, **given)
    shutil.move("runs/first", "kept")
    run = tutelage.finetune(rows, output="kept", **given)
    assert went_on(run.folder)
    [kept] = run.folder.glob("rows-*.jsonl")
    assert read_json_lines(kept) == rows


def test_a_project_that_was_moved_goes_on_with_its_data_and_its_base_model(project, monkeypatch):
    moved = project.with_name("renamed")
    monkeypatch.chdir(project.parent)
    shutil.move(project, moved)
    folder, loaded = earlier_run(moved / "runs" / "mine", {})
    run_all(Session(folder, loaded))
    assert went_on(folder.root)
    run = tutelage.Run(moved / "runs" / "mine")
    assert run.load("base").generate("Name a fruit.")
    assert run.recipe.model.name_or_path == str(project / "models" / "tiny")
    monkeypatch.chdir(moved)
    assert go_on("my.json") == "run.exists", "the same call is no change either"
    further = tutelage.finetune("my.json", output="runs/further", adapter=run.folder, **{**QUICK, "r": 2})
    assert further.recipe.model.name_or_path == str(moved / "models" / "tiny")


def test_another_base_model_that_stands_where_it_would_be_is_refused(project, monkeypatch):
    moved = project.with_name("renamed")
    monkeypatch.chdir(project.parent)
    shutil.move(project, moved)
    make_another(moved / "models" / "tiny")
    monkeypatch.chdir(moved)
    assert go_on("my.json") == "run.settings_changed"
    folder, loaded = earlier_run(moved / "runs" / "mine", {})
    with pytest.raises(TutelageError) as refused:
        run_all(Session(folder, loaded))
    assert refused.value.code == "run.settings_changed"


def test_a_model_of_the_same_name_nearer_to_the_run_does_not_hide_the_one_that_was_moved(
    project, monkeypatch
):
    moved = project.with_name("renamed")
    monkeypatch.chdir(project.parent)
    shutil.move(project, moved)
    shutil.copytree(moved / "models" / "tiny", moved / "runs" / "tiny")
    make_another(moved / "runs" / "tiny")
    folder, loaded = earlier_run(moved / "runs" / "mine", {})
    run_all(Session(folder, loaded))
    assert went_on(folder.root)


@pytest.mark.parametrize("is_same", [True, False])
def test_a_model_that_is_found_after_a_move_is_compared_though_checksums_are_skipped(
    project, monkeypatch, is_same
):
    moved = project.with_name("renamed")
    monkeypatch.chdir(project.parent)
    shutil.move(project, moved)
    if not is_same:
        make_another(moved / "models" / "tiny")
    folder, loaded = earlier_run(moved / "runs" / "mine", {}, skip_checksums=True)
    if is_same:
        run_all(Session(folder, loaded))
        return
    with pytest.raises(TutelageError) as refused:
        run_all(Session(folder, loaded))
    assert refused.value.code == "model.not_found"


def test_runs_on_one_adapter_under_two_paths_do_not_differ_in_it(project):
    assert go_on("my.json") is None
    start = project / "runs" / "mine"
    shutil.copytree(start / "model", project / "copy")
    given = {"name_or_path": "models/tiny", **QUICK}
    one = tutelage.finetune("my.json", output="runs/one", adapter=start, **given)
    same = tutelage.finetune("./my.json", output="runs/same", adapter=project / "copy", **given)
    [_, group] = tutelage.compare(one, same).groups
    assert group.differs == ()
    # Broken variant: other weights at the place of the second are named.
    (project / "copy" / "manifest.json").unlink()
    place = project / "copy" / "adapter_model.safetensors"
    save_file(
        {name: weight + 0.01 for name, weight in load_file(place).items()}, place, metadata={"format": "pt"}
    )
    other = tutelage.finetune("my.json", output="runs/other", adapter=project / "copy", **given)
    for run in (one, same):
        [_, group] = tutelage.compare(run, other).groups
        assert "model.adapter" in [told.split(" ")[0] for told in group.differs]
