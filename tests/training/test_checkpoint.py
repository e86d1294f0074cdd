"""A training that goes on from a checkpoint is the training that was never stopped, to the bit."""

import shutil
from contextlib import nullcontext
from dataclasses import replace

import pytest
from support.kept_training import FULL, FUSED, LAST_BLOCK, LORA, STEPS, Training, recipe_of
from support.tiers import slow
from support.tiny_tokenizer import write_tiny_model

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import walk
from tutelage.errors import Interrupted, RunFolderError
from tutelage.model.sources import ModelSource
from tutelage.run.folder import RunFolder
from tutelage.system.interruption import Interruption
from tutelage.training import checkpoint
from tutelage.training.checkpoint import (
    Checkpoint,
    changes_since,
    check_changes,
    fingerprint_of,
    prune_checkpoints,
    read_checkpoint,
)
from tutelage.training.loop import TrainState
from tutelage.tree.batches import BatchPlan

KINDS = pytest.mark.parametrize(
    ("tuning", "accumulation"),
    [(LORA, 1), (LORA, 4), (FUSED, 1), (FULL, 1), (FULL, 4), (LAST_BLOCK, 1)],
    ids=["adapter", "adapter-4", "fused", "full", "full-4", "last-block"],
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ModelSource(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"), "tiny", "0" * 64, None)


@pytest.fixture(scope="module")
def straight(source, tmp_path_factory):
    """Trainings that were never stopped, with a checkpoint of every step, by their kind."""
    made = {}

    def get(tuning, accumulation):
        kind = (tuning.method, tuning.adapter.lora_dropout, accumulation)
        if kind not in made:
            made[kind] = Training(
                tmp_path_factory.mktemp("straight"), source, recipe_of(tuning, accumulation)
            )
            made[kind].go()
        return made[kind]

    return get


def goes_on(training, step, root, *, until=None):
    """Go on from a step of a training, in another folder; return that other one."""
    other = Training(root, training.source, training.recipe)
    other.model = training.model
    for at in read_checkpoint(training.run.checkpoints, step).progress.losses:
        other.run.checkpoint(at).mkdir(parents=True, exist_ok=True)
    with pytest.raises(Interrupted) if until else nullcontext():
        other.go(after=step, of=training.run, until=until)
    return other


@pytest.mark.parametrize(
    ("tuning", "accumulation"),
    [(LORA, 4), slow(LORA, 1), slow(FUSED, 1), slow(FULL, 1), slow(FULL, 4), slow(LAST_BLOCK, 1)],
    ids=["adapter-4", "adapter", "fused", "full", "full-4", "last-block"],
)
def test_each_step_after_a_checkpoint_is_that_of_the_straight_training(
    straight, tmp_path, tuning, accumulation
):
    """Property 1: from every checkpoint the next one follows to the bit, so all that follow do."""
    training = straight(tuning, accumulation)
    for step in range(1, STEPS):
        resumed = goes_on(training, step, tmp_path / str(step), until=step + 1)
        assert resumed.state(step + 1) == training.state(step + 1), step


@KINDS
@pytest.mark.parametrize("step", [1, 27])
def test_a_resumed_training_ends_as_the_straight_one(straight, tmp_path, tuning, accumulation, step):
    training = straight(tuning, accumulation)
    resumed = goes_on(training, step, tmp_path)
    assert resumed.state(STEPS) == training.state(STEPS)


@pytest.mark.nightly
@KINDS
def test_from_every_step_a_resumed_training_ends_as_the_straight_one(
    straight, tmp_path, tuning, accumulation
):
    training = straight(tuning, accumulation)
    for step in range(1, STEPS):
        resumed = goes_on(training, step, tmp_path / str(step))
        assert resumed.state(STEPS) == training.state(STEPS), step


@pytest.mark.parametrize("fault", ["moments", "weights", "dropout"])
def test_a_resume_that_forgets_something_is_caught(straight, tmp_path, monkeypatch, fault):
    training = straight(LORA, 1)
    if fault == "moments":
        monkeypatch.setattr("tutelage.training.checkpoint.load_file", lambda path: {})
    elif fault == "weights":
        monkeypatch.setattr("tutelage.training.checkpoint.restore_tuned", lambda *_: None)
    else:  # a generator that goes on from where it happens to be
        monkeypatch.setattr("torch.manual_seed", lambda seed: None)
    resumed = goes_on(training, 20, tmp_path)
    assert resumed.state(STEPS) != training.state(STEPS)


def test_the_validations_are_those_of_the_straight_training(straight, tmp_path):
    training = straight(LORA, 1)
    resumed = goes_on(training, 17, tmp_path)
    losses = [fields for event, fields in training.events if event == "validation"]
    assert [fields["step"] for fields in losses] == [0, 10, 20, 30, 40]
    assert [fields for event, fields in resumed.events if event == "validation"] == losses[2:]


def test_a_signal_ends_the_training_after_its_step_with_a_checkpoint(source, tmp_path):
    training = Training(tmp_path, source, recipe_of(LORA, save_steps=STEPS, eval_steps=STEPS))
    interruption = Interruption()
    steps = []

    def emit(entry):
        event, fields = entry
        if event == "step":
            steps.append(fields["step"])
            interruption.requested = fields["step"] == 7

    training.events = type("Events", (), {"append": lambda self, entry: emit(entry)})()
    with pytest.raises(Interrupted):
        training.go(interruption=interruption)
    assert steps == list(range(1, 8))
    assert training.run.saved_steps() == [7]


def test_a_signal_in_a_validation_keeps_the_step_and_the_validation_is_made_when_it_goes_on(
    straight, source, tmp_path, monkeypatch
):
    straight_training = straight(LORA, 1)
    training = Training(tmp_path, source, recipe_of(LORA))
    with monkeypatch.context() as context:
        left = iter([{"loss": 1.0}])
        context.setattr("tutelage.training.loop.validate", lambda *_: next(left, None) or _interrupt())
        with pytest.raises(Interrupted):
            training.go()
    assert training.run.saved_steps()[-1] == 10
    assert 10 not in read_checkpoint(training.run.checkpoints, 10).progress.losses
    training.go(after=10)
    assert training.state(STEPS)[0] == straight_training.state(STEPS)[0]
    assert [fields["step"] for event, fields in training.events if event == "validation"] == [
        0,
        10,
        20,
        30,
        40,
    ]


def _interrupt():
    raise Interrupted


def test_from_every_step_on_the_rows_follow_in_the_order_of_the_straight_run():
    """Property 20: over three epochs, and each row exactly three times."""
    plan = BatchPlan(24, 5, 3, seed=7)
    straight = [plan.examples_of_step(step) for step in range(plan.steps)]
    for begin in range(plan.steps):
        again = BatchPlan(24, 5, 3, seed=7)
        assert [again.examples_of_step(step) for step in range(begin, plan.steps)] == straight[begin:]
    seen = [index for step in straight for index in step]
    assert sorted(seen) == sorted(list(range(24)) * 3)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_latest_and_the_best_are_kept(source, tmp_path, keep):
    run = RunFolder(tmp_path)
    for step in range(1, 7):
        run.checkpoint(step).mkdir(parents=True)
        prune_checkpoints(run.checkpoints, best=2 if step >= 2 else None, keep=keep)
    assert run.saved_steps() == sorted({2, *range(7 - keep, 7)})


def fingerprint(tmp_path, source, **training):
    run = RunFolder(tmp_path / "run")
    run.data.mkdir(parents=True, exist_ok=True)
    if not run.split("train").exists():
        run.split("train").write_text("a row\n")
    return fingerprint_of(run.data, recipe_of(LORA, **training), source)


def test_what_changed_is_named(tmp_path, source):
    """Property 18, each of the seven by itself."""
    before = fingerprint(tmp_path, source)
    assert changes_since(before, fingerprint(tmp_path, source)) == []
    for setting, value, was in [("per_device_train_batch_size", 3, 2), ("seed", 6, 5)]:
        now = fingerprint(tmp_path, source, **{setting: value})
        assert changes_since(before, now) == [f"training.{setting} (was {was}, now {value})"]
    for setting, value in [("prompt_template", "chat"), ("max_length", 77)]:
        data = Recipe().data.model_copy(update={setting: value})
        now = fingerprint_of(
            RunFolder(tmp_path / "run").data, recipe_of(LORA).model_copy(update={"data": data}), source
        )
        assert [change.split(" ")[0] for change in changes_since(before, now)] == [f"data.{setting}"]
    assert changes_since(before, fingerprint(tmp_path, replace(source, fingerprint="1" * 64))) == [
        "the base weights"
    ]
    other = shutil.copytree(source.folder, tmp_path / "other")
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + " ")
    assert changes_since(before, fingerprint(tmp_path, replace(source, folder=other))) == [
        "the model's tokenizer.json"
    ]
    (tmp_path / "run" / "data" / "train.jsonl").write_text("another row\n")
    assert changes_since(before, fingerprint(tmp_path, source)) == ["data/train.jsonl"]


@pytest.mark.parametrize("table", Recipe.model_fields)
def test_a_changed_setting_of_every_table_counts_but_those_that_only_ask_the_model(tmp_path, source, table):
    """A table that a recipe gets one day is among them."""
    before, recipe = fingerprint(tmp_path, source), recipe_of(LORA)
    names = [
        name for name, _, _ in walk(recipe) if name.startswith(f"{table}.") and name not in checkpoint.FREE
    ]
    assert names
    for name in names:
        settings = getattr(recipe, table).model_copy(update={name.partition(".")[2]: "changed"})
        changed = recipe.model_copy(update={table: settings})
        now = fingerprint_of(RunFolder(tmp_path / "run").data, changed, source)
        told = [change.partition(" ")[0] for change in changes_since(before, now)]
        assert told == ([] if table == "evaluation" else [name])


def test_settings_that_change_no_weight_may_change(tmp_path, source):
    free = {
        "save_steps": 9,
        "save_total_limit": 9,
        "sample_prompts": 9,
        "early_stopping_patience": 9,
        "dtype": "float32",
    }
    assert fingerprint(tmp_path, source) == fingerprint(tmp_path, source, **free)


def test_changes_are_refused_unless_they_are_accepted(tmp_path):
    kept = Checkpoint(
        tmp_path, TrainState(step=7), 0.0, 0, {"training.seed": 1, "the base weights": "a"}, {}, [], []
    )
    now = {"training.seed": 2, "the base weights": "b"}
    with pytest.raises(RunFolderError, match="after step 7. Changed since then") as fault:
        check_changes(kept, now, root=tmp_path, is_allowed=False)
    assert "the base weights" in str(fault.value)
    assert "training.seed (was 1, now 2)" in str(fault.value)
    assert "--allow-changes" in str(fault.value)
    assert len(check_changes(kept, now, root=tmp_path, is_allowed=True)) == 2
    assert check_changes(kept, kept.fingerprint, root=tmp_path, is_allowed=False) == []
