"""What a run remembers of its stages and of its settings, and that nothing breaks where it is lost."""

from datetime import UTC, datetime

import pytest

from tutelage.config.recipe_file import load, to_toml
from tutelage.run.folder import RunFolder, write_text
from tutelage.run.history import History, history_file, read_history, record_origins, record_stage


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "mine")


def test_each_stage_is_remembered_with_its_end_and_its_time(run):
    before = datetime.now(UTC).replace(microsecond=0)
    record_stage(run, "prepare", seconds=1.26)
    record_stage(run, "train", seconds=300)
    record_stage(run, "prepare", seconds=2)
    stages = read_history(run).stages
    assert {name: record.seconds for name, record in stages.items()} == {"prepare": 2, "train": 300}
    assert all(before <= record.ended <= datetime.now(UTC) for record in stages.values())


def test_the_evaluation_of_a_checkpoint_is_no_stage_of_the_run(run):
    record_stage(RunFolder(run.root, 7), "evaluate", seconds=1)
    record_origins(RunFolder(run.root, 7), load(None, {}, ["training.seed=7"]))
    assert not history_file(run).exists()


@pytest.mark.parametrize("damage", ["", "[]", '{"stages": {"train": 3}, "origins": {}}', "\0"])
def test_a_damaged_history_is_begun_anew(run, damage):
    write_text(history_file(run), damage)
    assert read_history(run) == History({}, {})
    record_stage(run, "train", seconds=3)
    assert list(read_history(run).stages) == ["train"]


def test_a_setting_keeps_its_origin_when_the_recipe_of_the_run_repeats_it(run, tmp_path):
    (tmp_path / "lora.toml").write_text("[adapter]\nr = 4\n[training]\nseed = 123\n")
    begun = load(tmp_path / "lora.toml", {"--data data.source": "my.json"}, ["training.max_steps=5"])
    record_origins(run, begun)
    given = {
        "adapter.r": "lora.toml:2",
        "training.seed": "lora.toml:4",
        "data.source": "--data",
        "training.max_steps": "--set",
    }
    assert read_history(run).origins == given
    write_text(run.recipe, to_toml(begun.recipe))
    record_origins(run, load(run.recipe, {}, ["evaluation.limit=3", "training.max_steps=6"]))
    assert read_history(run).origins == given | {"evaluation.limit": "--set"}


def test_without_a_history_only_what_is_no_default_has_an_origin(run):
    write_text(run.recipe, to_toml(load(None, {}, ["adapter.r=4"]).recipe))
    record_origins(run, load(run.recipe, {}, []))
    ((name, origin),) = read_history(run).origins.items()
    assert name == "adapter.r"
    assert origin.startswith("recipe.toml:")
