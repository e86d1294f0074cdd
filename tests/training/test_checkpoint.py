"""A training that goes on from a checkpoint is the training that was never stopped, to the bit."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from support.tiny_models import ragged_examples
from support.tiny_tokenizer import write_tiny_model

from tutelage.data.batches import BatchPlan
from tutelage.errors import Interrupted, RunFolderError, StorageError
from tutelage.interruption import Interruption
from tutelage.model.assembly import open_for_training
from tutelage.model.sources import ModelSource
from tutelage.recipe import AdapterSettings, Recipe, TrainingSettings
from tutelage.run_folder import RunFolder, write_json
from tutelage.storage import MANIFEST, files_with_hashes, staged_folder, what_is_damaged
from tutelage.training.checkpoint import (
    MOMENTS,
    STATE,
    Checkpoint,
    changes_since,
    find_checkpoint,
    identity_of,
    machine_of,
    prune_checkpoints,
    read_checkpoint,
    refuse_changes,
    restore,
    write_checkpoint,
)
from tutelage.training.loop import Progress, Watch, train
from tutelage.training.optimizer import make_optimizer

STEPS = 40
TRAINING = ragged_examples(24)
VALIDATION = ragged_examples(8, seed=20)
SETTINGS = TrainingSettings(
    seed=5,
    max_steps=STEPS,
    per_device_train_batch_size=2,
    learning_rate=1e-3,
    weight_decay=0.1,
    eval_steps=10,
    save_steps=1,
    save_total_limit=STEPS,
)
LORA = AdapterSettings(r=4, lora_alpha=8, lora_dropout=0.2)
FUSED = AdapterSettings(r=4, lora_alpha=8)
FULL = AdapterSettings(type="none")
KINDS = pytest.mark.parametrize(
    ("adapter", "accumulation"),
    [(LORA, 1), (LORA, 4), (FUSED, 1), (FULL, 1), (FULL, 4)],
    ids=["adapter", "adapter-4", "fused", "full", "full-4"],
)


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk():
    """Whether bytes reach the disk is asked in test_storage; here it would be most of the time."""
    with patch("os.fsync"):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ModelSource(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"), "tiny", "0" * 64, None)


class Training:
    """The middle of `tune`: a loop that keeps each step in a run folder, and goes on from one."""

    def __init__(self, root, source, recipe):
        self.run, self.recipe, self.source = RunFolder(root), recipe, source
        self.events = []
        self.model = None

    def open(self):
        # A model that was trained before will do: what a resume forgets to restore is then at its end.
        self.model = self.model or open_for_training(
            self.source,
            self.recipe.adapter,
            torch.device("cpu"),
            torch.float32,
            seed=self.recipe.training.seed,
            probes=TRAINING[:2],
        )
        return self.model, make_optimizer(self.model.module, self.recipe.training)

    def go(self, *, after=None, of=None, until=None, interruption=None):
        """Train to the end, or until the checkpoint of a step is there, from a checkpoint of this run or of another."""
        model, optimizer = self.open()
        begin = Progress()
        if after is not None:
            checkpoint = read_checkpoint(of or self.run, after)
            restore(checkpoint, model, optimizer, self.recipe)
            begin = checkpoint.progress
        machine = machine_of(model)
        interruption = interruption or Interruption()

        def save(progress, is_needed):
            place = self.run.checkpoint(progress.step)
            kept = Checkpoint(place, progress, 0.0, 0, {}, machine, [], [])
            write_checkpoint(model, optimizer, self.recipe, base="tiny", checkpoint=kept)
            interruption.requested |= progress.step == until
            return True

        return train(
            model,
            optimizer,
            TRAINING,
            VALIDATION,
            self.recipe.training,
            watch=Watch(lambda event, **fields: self.events.append((event, fields)), save, list),
            begin=begin,
            interruption=interruption,
        )

    def state(self, step):
        """Return the hashes of weights and optimiser, and the progress but for the seconds."""
        folder = self.run.checkpoint(step)
        hashes = {name: file["sha256"] for name, file in files_with_hashes(folder).items() if name != STATE}
        return hashes, replace(read_checkpoint(self.run, step).progress, step_seconds=0.0)


def recipe_of(adapter, accumulation=1, **settings):
    training = SETTINGS.model_copy(update={"gradient_accumulation_steps": accumulation, **settings})
    return Recipe(adapter=adapter, training=training)


@pytest.fixture(scope="module")
def straight(source, tmp_path_factory):
    """Trainings that were never stopped, with a checkpoint of every step, by their kind."""
    made = {}

    def get(adapter, accumulation):
        kind = (adapter.type, adapter.lora_dropout, accumulation)
        if kind not in made:
            made[kind] = Training(
                tmp_path_factory.mktemp("straight"), source, recipe_of(adapter, accumulation)
            )
            made[kind].go()
        return made[kind]

    return get


def goes_on(training, step, root, *, until=None):
    """Go on from a step of a training, in another folder; return that other one."""
    other = Training(root, training.source, training.recipe)
    other.model = training.model
    for at in read_checkpoint(training.run, step).progress.losses:
        other.run.checkpoint(at).mkdir(parents=True, exist_ok=True)
    with pytest.raises(Interrupted) if until else nullcontext():
        other.go(after=step, of=training.run, until=until)
    return other


@KINDS
def test_each_step_after_a_checkpoint_is_that_of_the_straight_training(
    straight, tmp_path, adapter, accumulation
):
    """Property 1: from every checkpoint the next one follows to the bit, so all that follow do."""
    training = straight(adapter, accumulation)
    for step in range(1, STEPS):
        resumed = goes_on(training, step, tmp_path / str(step), until=step + 1)
        assert resumed.state(step + 1) == training.state(step + 1), step


@KINDS
@pytest.mark.parametrize("step", [1, 27])
def test_a_resumed_training_ends_as_the_straight_one(straight, tmp_path, adapter, accumulation, step):
    training = straight(adapter, accumulation)
    resumed = goes_on(training, step, tmp_path)
    assert resumed.state(STEPS) == training.state(STEPS)


@pytest.mark.nightly
@KINDS
def test_from_every_step_a_resumed_training_ends_as_the_straight_one(
    straight, tmp_path, adapter, accumulation
):
    training = straight(adapter, accumulation)
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

    def emit(event, **fields):
        if event == "step":
            steps.append(fields["step"])
            interruption.requested = fields["step"] == 7

    training.events = type("Events", (), {"append": lambda self, entry: emit(entry[0], **entry[1])})()
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
        left = iter([1.0])
        context.setattr("tutelage.training.loop.validation_loss", lambda *_: next(left, None) or _interrupt())
        with pytest.raises(Interrupted):
            training.go()
    assert training.run.saved_steps()[-1] == 10
    assert 10 not in read_checkpoint(training.run, 10).progress.losses
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


@pytest.fixture
def saved(source, tmp_path):
    """A run folder with the checkpoints of the steps 10, 20, 30 and 40, and a function that lists what it tells."""
    training = Training(tmp_path / "run", source, recipe_of(FUSED, save_steps=10))
    training.go()
    assert training.run.saved_steps() == [10, 20, 30, 40]
    return training


def damage_cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_empty(path):
    path.write_bytes(b"")


def damage_lose(path):
    path.unlink()


def damage_swap(path):
    shutil.copy(path.parents[1] / "step-000030" / path.name, path)


def damage_lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES = [damage_cut, damage_zero, damage_flip, damage_empty, damage_lose, damage_swap, damage_lengthen]


def test_every_damage_to_every_file_falls_back_to_the_checkpoint_before_and_is_told(saved, tmp_path):
    """Property 8, with every byte of a bit-flip in test_storage."""
    run = saved.run
    files = [path.name for path in run.checkpoint(40).iterdir()]
    assert {MANIFEST, STATE, MOMENTS, "adapter_model.safetensors", "adapter_config.json"} <= set(files)
    cases = 0
    for file in files:
        for damage in DAMAGES:
            shutil.copytree(run.checkpoint(40), tmp_path / "kept")
            damage(run.checkpoint(40) / file)
            told = []
            is_same = what_is_damaged(run.checkpoint(40)) is None
            found = find_checkpoint(run, tell=told.append)
            if is_same:  # a swap of two equal files
                assert damage is damage_swap
                assert found.progress.step == 40
            else:
                cases += 1
                assert found.progress.step == 30
                assert len(told) == 1
                assert file in told[0]
                assert f"moved to {run.quarantine / 'step-000040'}" in told[0]
                shutil.rmtree(run.quarantine)
            shutil.rmtree(run.checkpoint(40), ignore_errors=True)
            (tmp_path / "kept").rename(run.checkpoint(40))
    assert cases >= 38


def test_where_no_checkpoint_is_whole_the_training_does_not_start_from_zero_by_itself(saved):
    for step in saved.run.saved_steps():
        damage_flip(saved.run.checkpoint(step) / MOMENTS)
    told = []
    for _ in range(2):  # not at the second call either
        with pytest.raises(StorageError, match="No checkpoint of .* is whole") as fault:
            find_checkpoint(saved.run, tell=told.append)
        assert fault.value.exit_code == 4
        assert "--overwrite" in str(fault.value)
    assert len(told) == 4


def test_a_best_checkpoint_that_is_lost_is_no_longer_the_result(saved):
    before = read_checkpoint(saved.run, 40).progress
    damage_flip(saved.run.checkpoint(before.best_step) / MOMENTS)
    found = find_checkpoint(saved.run, tell=lambda line: None)
    others = {step: loss for step, loss in before.losses.items() if step not in (0, before.best_step)}
    assert found.progress.best_step == min(others, key=others.get)


def test_a_checkpoint_of_another_format_is_refused_by_its_number(saved):
    folder = saved.run.checkpoint(40)
    state = json.loads((folder / STATE).read_text())
    with staged_folder(folder) as staged:
        shutil.copytree(saved.run.checkpoint(30), staged, dirs_exist_ok=True)
        write_json(staged / STATE, {**state, "format": 2})
    with pytest.raises(StorageError, match="format 2 of another version of Tutelage"):
        find_checkpoint(saved.run, tell=lambda line: None)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_latest_and_the_best_are_kept(source, tmp_path, keep):
    run = RunFolder(tmp_path)
    for step in range(1, 7):
        run.checkpoint(step).mkdir(parents=True)
        prune_checkpoints(run, best=2 if step >= 2 else None, keep=keep)
    assert run.saved_steps() == sorted({2, *range(7 - keep, 7)})


def identity(tmp_path, source, **training):
    run = RunFolder(tmp_path / "run")
    run.data.mkdir(parents=True, exist_ok=True)
    if not run.split("train").exists():
        run.split("train").write_text("a row\n")
    return identity_of(run, recipe_of(LORA, **training), source)


def test_what_changed_is_named(tmp_path, source):
    """Property 18, each of the seven by itself."""
    before = identity(tmp_path, source)
    assert changes_since(before, identity(tmp_path, source)) == []
    for setting, value, was in [("per_device_train_batch_size", 3, 2), ("seed", 6, 5)]:
        now = identity(tmp_path, source, **{setting: value})
        assert changes_since(before, now) == [f"training.{setting} (was {was}, now {value})"]
    for setting, value in [("prompt", "chat"), ("max_length", 77)]:
        data = Recipe().data.model_copy(update={setting: value})
        now = identity_of(
            RunFolder(tmp_path / "run"), recipe_of(LORA).model_copy(update={"data": data}), source
        )
        assert [change.split(" ")[0] for change in changes_since(before, now)] == [f"data.{setting}"]
    assert changes_since(before, identity(tmp_path, replace(source, identity="1" * 64))) == [
        "the base weights"
    ]
    other = shutil.copytree(source.folder, tmp_path / "other")
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + " ")
    assert changes_since(before, identity(tmp_path, replace(source, folder=other))) == [
        "the model's tokenizer.json"
    ]
    (tmp_path / "run" / "data" / "train.jsonl").write_text("another row\n")
    assert changes_since(before, identity(tmp_path, source)) == ["data/train.jsonl"]


def test_settings_that_change_no_weight_may_change(tmp_path, source):
    free = {"save_steps": 9, "save_total_limit": 9, "sample_prompts": 9, "dtype": "float32"}
    assert identity(tmp_path, source) == identity(tmp_path, source, **free)


def test_changes_are_refused_unless_they_are_accepted(tmp_path):
    kept = Checkpoint(
        tmp_path, Progress(step=7), 0.0, 0, {"training.seed": 1, "the base weights": "a"}, {}, [], []
    )
    now = {"training.seed": 2, "the base weights": "b"}
    with pytest.raises(RunFolderError, match="after step 7, but not with the same") as fault:
        refuse_changes(kept, now, root=tmp_path, is_accepted=False)
    assert "the base weights" in str(fault.value)
    assert "training.seed (was 1, now 2)" in str(fault.value)
    assert "--accept-changes" in str(fault.value)
    assert len(refuse_changes(kept, now, root=tmp_path, is_accepted=True)) == 2
    assert refuse_changes(kept, kept.identity, root=tmp_path, is_accepted=False) == []
