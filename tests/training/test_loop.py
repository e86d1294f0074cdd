"""The training loop: what happens in which order, which step is best, and what is saved."""

import copy

import pytest
import torch
from support.sessions import as_pair
from support.tiny_models import (
    FAMILIES,
    largest_relative_difference,
    mean_loss_one_at_a_time,
    ragged_examples,
    tiny_model,
    weights_of,
)
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tutelage.config.recipe import TrainingSettings
from tutelage.errors import NonFiniteError
from tutelage.system.interruption import Interruption
from tutelage.training.loop import TrainCallbacks, TrainState, plan_steps, train
from tutelage.training.optimizer import make_optimizer
from tutelage.training.schedule import learning_rate_at
from tutelage.training.validation import validate
from tutelage.tree.batches import epoch_order

TRAINING = ragged_examples(14)
VALIDATION = ragged_examples(8, seed=20)
# 14 examples in steps of 4 make 4 steps an epoch, the last of 2 examples.
SETTINGS = TrainingSettings(
    seed=5,
    num_train_epochs=2,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=2,
    learning_rate=1e-3,
    warmup_ratio=0.25,
    weight_decay=0.1,
    eval_steps=3,
    early_stopping_patience=0,
)


class Diary:
    """Everything that the loop does, in order."""

    def __init__(self):
        self.entries = []
        self.events = []

    def emit(self, event):
        name, fields = as_pair(event)
        self.entries.append((name, fields["step"]))
        self.events.append((name, fields))

    def save(self, progress, is_needed):
        self.entries.append(("save", progress.step, progress.best_step))
        return True

    def answer_samples(self):
        self.entries.append(("samples",))
        return []

    def of(self, event):
        return [fields for name, fields in self.events if name == event]


def run(model, settings=SETTINGS, *, training=TRAINING, validation=VALIDATION):
    diary = Diary()
    return diary, train_with(diary, model, training, validation, settings)


def train_with(diary, model, training, validation, settings=SETTINGS, **more):
    return train(
        model,
        make_optimizer(model.module, settings),
        training,
        validation,
        settings,
        watch=TrainCallbacks(diary.emit, diary.save, diary.answer_samples),
        **{"interruption": Interruption(), **more},
    )


def changed(**settings) -> TrainingSettings:
    return SETTINGS.model_copy(update=settings)


def with_losses(monkeypatch, *losses):
    """Let the validation find these losses, one after the other."""
    left = iter(losses)
    monkeypatch.setattr("tutelage.training.loop.validate", lambda *_: {"loss": next(left)})


def test_validation_comes_before_training_at_its_steps_and_at_the_end(monkeypatch):
    with_losses(monkeypatch, 4.0, 2.0, 3.0, 2.5)
    diary, _ = run(tiny_model("llama"))
    assert diary.entries == [
        ("samples",),
        ("validation", 0),
        ("step", 1),
        ("step", 2),
        ("step", 3),
        ("samples",),
        ("validation", 3),
        ("save", 3, 3),
        ("step", 4),
        ("step", 5),
        ("step", 6),
        ("samples",),
        ("validation", 6),
        ("save", 6, 3),
        ("step", 7),
        ("step", 8),
        ("samples",),
        ("validation", 8),
        ("save", 8, 3),
    ]


def stopping_after(patience, **more) -> TrainingSettings:
    return changed(**{"eval_steps": 1, "early_stopping_patience": patience, **more})


@pytest.mark.parametrize(
    ("patience", "losses", "steps"),
    [
        (1, (4.0, 3.0, 2.5, 2.2, 2.0, 2.0), 5),  # an equal loss is no lower one
        (1, (4.0, 2.0, 3.0, 2.5, 2.0), 4),  # not before the end of the first epoch
        (2, (4.0, 2.0, 3.0, 1.9, 2.5, 2.4), 5),
        (2, (4.0, 3.0, 2.0, 2.5, 1.9, 2.4, 2.3), 6),  # a lower one begins the count anew
        (2, (1.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0), 8),  # the untuned model's is none of them
        (0, (4.0, 2.0, *[3.0] * 7), 8),
        (9, (4.0, 2.0, *[3.0] * 7), 8),
    ],
)
def test_training_ends_where_the_validation_loss_has_not_fallen_for_the_patience(
    monkeypatch, patience, losses, steps
):
    with_losses(monkeypatch, *losses)
    diary, result = run(tiny_model("llama"), stopping_after(patience))
    assert result.step == steps
    assert diary.entries[-1] == (("stopped_early", steps) if steps < 8 else ("save", 8, result.best_step))
    assert [fields["planned_steps"] for fields in diary.of("stopped_early")] == [8] * (steps < 8)


def test_a_training_ends_early_at_a_validation_and_never_between_two(monkeypatch):
    """Here the first epoch ends at step 5, where the losses of steps 2 and 4 would say so already."""
    with_losses(monkeypatch, 4.0, 2.0, 3.0, 2.5)
    settings = stopping_after(1, per_device_train_batch_size=3, gradient_accumulation_steps=1, eval_steps=2)
    diary, result = run(tiny_model("llama"), settings)
    assert diary.entries[-1] == ("stopped_early", 6)
    assert result.loss_after == 2.5


def test_a_loss_on_few_rows_ends_no_training(monkeypatch):
    with_losses(monkeypatch, 4.0, 2.0, *[3.0] * 8)
    _, result = run(tiny_model("llama"), stopping_after(1), validation=VALIDATION[:7])
    assert result.step == 8


def test_the_step_that_ends_a_training_early_is_saved_whatever_save_steps_says(monkeypatch):
    with_losses(monkeypatch, 4.0, 3.0, 2.0, 1.0, 1.5, 2.0)
    needed = []

    class Saving(Diary):
        def save(self, progress, is_needed):
            needed.append((progress.step, is_needed))
            return True

    train_with(Saving(), tiny_model("llama"), TRAINING, VALIDATION, stopping_after(2, save_steps=8))
    assert needed == [(1, False), (2, False), (3, False), (5, True)]


def test_a_training_that_ended_early_makes_no_step_when_it_goes_on(monkeypatch):
    with_losses(monkeypatch, 4.0, 2.0, 3.0, 3.0, 3.0)
    _, ended = run(tiny_model("llama"), stopping_after(2))
    diary = Diary()
    again = train_with(diary, tiny_model("llama"), TRAINING, VALIDATION, stopping_after(2), begin=ended)
    assert again == ended
    assert diary.entries == [("stopped_early", 4)]


def test_the_best_step_is_the_lowest_loss_and_the_untuned_model_does_not_count(monkeypatch):
    with_losses(monkeypatch, 1.0, 2.0, 3.0, 2.5)
    _, result = run(tiny_model("llama"))
    assert (result.step, result.kept_step) == (8, 3)
    assert (result.loss_before, result.loss_best, result.loss_after) == (1.0, 2.0, 2.5)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({}, None),
        ({0: 1.0}, None),
        ({0: 1.0, 4: 2.0, 8: 3.0}, 4),
        ({4: 2.0, 8: 2.0}, 4),
        ({4: 2.0, 8: 1.0}, 8),
    ],
)
def test_of_equal_losses_the_earlier_step_is_best(losses, best):
    assert TrainState(losses=losses).best_step == best


def test_a_best_step_between_two_checkpoints_is_saved_too(monkeypatch):
    with_losses(monkeypatch, 4.0, 3.0, 2.0, 9.0, 9.0, 9.0)
    diary, _ = run(tiny_model("llama"), changed(eval_steps=2, save_steps=5, num_train_epochs=2))
    saved = [entry[1:] for entry in diary.entries if entry[0] == "save"]
    assert saved == [(2, 2), (4, 4), (5, 4), (8, 4)]


def test_the_best_step_is_always_saved_before_the_run_ends(monkeypatch):
    with_losses(monkeypatch, 9.0, 9.0, 1.0, *[2.0] * 7)
    diary, result = run(tiny_model("llama"), changed(eval_steps=1, save_steps=7))
    assert result.kept_step in [entry[1] for entry in diary.entries if entry[0] == "save"]


def test_without_validation_rows_the_last_step_counts_and_no_loss_is_told():
    diary, result = run(tiny_model("llama"), validation=[])
    assert [entry for entry in diary.entries if entry[0] == "save"] == [
        ("save", 3, None),
        ("save", 6, None),
        ("save", 8, None),
    ]
    assert diary.of("validation") == []
    assert result.kept_step == 8
    assert result.loss_before is result.loss_after is result.loss_best is None


def test_validation_is_four_times_an_epoch_by_default():
    settings = changed(
        eval_steps=None, gradient_accumulation_steps=1, per_device_train_batch_size=1, num_train_epochs=1
    )
    diary, _ = run(tiny_model("llama"), settings)
    assert [fields["step"] for fields in diary.of("validation")] == [0, 3, 6, 9, 12, 14]


def test_an_epoch_shorter_than_four_steps_is_validated_at_each():
    diary, _ = run(tiny_model("llama"), changed(eval_steps=None, per_device_train_batch_size=8))
    assert [fields["step"] for fields in diary.of("validation")] == [0, 1, 2]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_is_one_descent_by_hand_over_the_planned_examples(family):
    model = tiny_model(family)
    by_hand = copy.deepcopy(model.module).train()
    optimizer = make_optimizer(by_hand, SETTINGS)
    losses = []
    for step in range(8):
        epoch, place = divmod(step, 4)
        order = epoch_order(14, seed=5, epoch=epoch)[4 * place : 4 * place + 4]
        loss = mean_loss_one_at_a_time(by_hand, [TRAINING[index] for index in order])
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(by_hand.parameters(), SETTINGS.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps=8, warmup_steps=2, peak=1e-3, kind="cosine")
        optimizer.step()
        optimizer.zero_grad()
    diary, _ = run(model)
    assert [fields["loss"] for fields in diary.of("step")] == pytest.approx(losses, rel=1e-10)
    assert largest_relative_difference(weights_of(model.module), weights_of(by_hand)) < 1e-10


def test_every_update_takes_the_rate_of_its_step_in_every_group():
    taken = []

    def note(optimizer, *_):
        taken.append({group["lr"] for group in optimizer.param_groups})

    handle = register_optimizer_step_pre_hook(note)
    try:
        diary, _ = run(tiny_model("llama"), changed(lr_scheduler_type="linear"))
    finally:
        handle.remove()
    expected = [0.5e-3, 1e-3, 1e-3, *(1e-3 * left / 6 for left in (5, 4, 3, 2, 1))]
    assert [fields["learning_rate"] for fields in diary.of("step")] == pytest.approx(expected, rel=1e-14)
    assert taken == [{fields["learning_rate"]} for fields in diary.of("step")]


def test_every_example_is_trained_on_once_an_epoch_and_the_tokens_are_counted():
    diary, result = run(tiny_model("llama"))
    steps = diary.of("step")
    assert [fields["examples"] for fields in steps] == [4, 4, 4, 2] * 2
    assert [fields["epoch"] for fields in steps] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert result.examples == 28
    assert result.supervised_tokens == 2 * sum(example.supervised for example in TRAINING)
    assert result.distinct_tokens <= result.computed_tokens
    assert result.step_seconds == pytest.approx(sum(fields["seconds"] for fields in steps))


def test_max_steps_ends_the_run_early_and_its_schedule_with_it():
    diary, result = run(
        tiny_model("llama"), changed(max_steps=5, lr_scheduler_type="linear", warmup_ratio=0.0)
    )
    assert result.step == 5
    assert [fields["learning_rate"] for fields in diary.of("step")] == pytest.approx(
        [1e-3 * left / 5 for left in (5, 4, 3, 2, 1)]
    )
    assert diary.entries[-1][:2] == ("save", 5)


def test_two_runs_of_one_seed_are_bitwise_the_same_and_another_seed_is_another_run():
    models = [tiny_model("llama") for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        run(model, changed(seed=seed))
    first, again, another = (weights_of(model.module) for model in models)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], another[name]) for name in first)


def test_samples_and_validation_leave_the_training_as_it_is():
    watched, unwatched = tiny_model("llama"), tiny_model("llama")
    run(watched, changed(eval_steps=1))
    run(unwatched, changed(eval_steps=100), validation=[])
    one, other = weights_of(watched.module), weights_of(unwatched.module)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_dropout_acts_in_every_step_though_validation_switched_it_off():
    modes = []
    model = tiny_model("llama")
    model.module.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    run(model, changed(eval_steps=1, per_device_train_batch_size=4, gradient_accumulation_steps=1))
    assert modes == [False, *[True, False] * 8]


def test_a_loss_that_is_not_finite_ends_the_run_at_its_step_with_the_weights_before_it():
    model = tiny_model("llama")
    weights = []
    order = epoch_order(14, seed=5, epoch=0)[8:12]

    def poison(optimizer, *_):
        weights.append(weights_of(model.module))
        if len(weights) == 2:
            model.module.model.norm.weight.register_hook(lambda gradient: gradient * float("nan"))

    handle = register_optimizer_step_pre_hook(poison)
    diary = Diary()
    try:
        with pytest.raises(NonFiniteError) as fault:
            train_with(diary, model, TRAINING, [])
    finally:
        handle.remove()
    assert str(sorted(TRAINING[index].row for index in order)) in str(fault.value)
    assert len(diary.of("step")) == len(weights) == 2
    assert all(torch.isfinite(weight).all() for weight in weights_of(model.module).values())


@pytest.mark.parametrize("step", [0, 3])
def test_a_validation_loss_that_is_not_finite_ends_the_run_before_it_can_be_best(monkeypatch, step):
    with_losses(monkeypatch, *([float("nan")] if step == 0 else [1.0, float("nan")]))
    diary = Diary()
    with pytest.raises(NonFiniteError, match=rf"validation loss is nan after step {step}"):
        train_with(diary, tiny_model("llama"), TRAINING, VALIDATION)
    assert len(diary.of("step")) == step
    assert not [entry for entry in diary.entries if entry[0] == "save"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_where_it_is_not_taken_yet_float32_is_advised(monkeypatch, dtype):
    with_losses(monkeypatch, float("nan"))
    diary = Diary()
    with pytest.raises(NonFiniteError, match="Lower training.learning_rate") as fault:
        model = tiny_model("llama", dtype=torch.float32, compute_dtype=dtype)
        train_with(diary, model, TRAINING, VALIDATION)
    assert ("float32" in str(fault.value)) == (dtype != torch.float32)


@pytest.mark.parametrize("nodes", [2048, 25])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_validation_loss_is_the_hand_loop_over_all_supervised_tokens(family, nodes, monkeypatch):
    monkeypatch.setattr("tutelage.training.validation.MAX_NODES", nodes)
    model = tiny_model(family)
    model.module.train()
    found = validate(model, VALIDATION)["loss"]
    with torch.no_grad():
        expected = mean_loss_one_at_a_time(model.module, VALIDATION).item()
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_validation_loss_that_averages_examples_is_caught():
    model = tiny_model("llama")
    with torch.no_grad():
        by_example = [mean_loss_one_at_a_time(model.module, [example]).item() for example in VALIDATION]
    mean_of_means = sum(by_example) / len(by_example)
    assert validate(model, VALIDATION)["loss"] != pytest.approx(mean_of_means, rel=1e-3)


def test_the_loss_goes_down():
    diary, result = run(tiny_model("llama"), changed(num_train_epochs=10, learning_rate=3e-3))
    losses = [fields["loss"] for fields in diary.of("step")]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])
    assert result.step == plan_steps(14, changed(num_train_epochs=10)).steps == 40
