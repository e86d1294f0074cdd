"""What is ahead of a training, and how long it takes: the counts of real passes, times made-up paces."""

from dataclasses import fields, replace

import pytest
import torch
from support.pairs import tiny_pairs
from support.sessions import as_pair
from support.tiny_models import ragged_examples, tiny_model

from tutelage.config.recipe import Recipe, TrainingSettings
from tutelage.objectives import load_objective
from tutelage.system.interruption import Interruption
from tutelage.training import validation as validation_module
from tutelage.training import work as work_module
from tutelage.training.load import SAMPLE_TOKENS, OpenedRun
from tutelage.training.loop import TrainCallbacks, TrainState, plan_steps, train
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.training.validation import validate
from tutelage.training.work import (
    FEW_ANSWERS,
    Pace,
    Work,
    count_computed,
    count_targets,
    decoding_work,
    paths_of,
    reading_work,
    untuned_lengths,
)
from tutelage.training.work_ahead import look_ahead, times_due, training_work
from tutelage.tree.examples import Example, PreparedRow, examples_of
from tutelage.tree.prefix_tree import merge

TRAINING = ragged_examples(14)
VALIDATION = ragged_examples(8, seed=20)
# 14 examples in steps of 4 make 4 steps an epoch, the last of 2 examples.
SETTINGS = TrainingSettings(
    seed=5,
    num_train_epochs=2,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=2,
    eval_steps=3,
    early_stopping_patience=0,
)
# Each kind of work has a place of its own among the digits of the seconds.
DIGITS = Pace(trained_nodes=1.0, updates=1e2, nodes=1e4, targets=1e6, decoding_steps=1e8, sample_steps=1e10)


def test_seconds_are_those_of_each_kind_and_of_the_rest():
    work = Work(
        trained_nodes=11, updates=12, nodes=13, targets=14, decoding_steps=15, sample_steps=16, seconds=0.5
    )
    assert work.seconds_at(DIGITS) == 16_15_14_13_12_11.5
    assert (work + work.times(2)).seconds_at(DIGITS) == 3 * 16_15_14_13_12_11.5


@pytest.mark.parametrize("kind", [kind.name for kind in fields(Pace)])
def test_a_kind_that_is_forgotten_is_seen(kind):
    work = Work(11, 12, 13, 14, 15, 16, 0.5)
    assert replace(work, **{kind: 0}).seconds_at(DIGITS) < work.seconds_at(DIGITS)


@pytest.fixture
def passes(monkeypatch):
    """The nodes and the distinct targets of each tree that a validation reads."""
    seen = []

    def counted(model, tree):
        seen.append((len(tree.token_ids), len(distinct_targets(tree))))
        return torch.zeros(len(tree.target_ids))

    monkeypatch.setattr(validation_module, "target_log_probs", counted)
    return seen


def distinct_targets(tree):
    return {*zip(tree.target_parents.tolist(), tree.target_ids.tolist(), strict=True)}


@pytest.mark.parametrize("most_nodes", [2048, 20])
def test_reading_computes_what_a_validation_does(passes, monkeypatch, most_nodes):
    for module in (validation_module, work_module):
        monkeypatch.setattr(module, "MAX_NODES", most_nodes)
    validate(tiny_model("llama"), VALIDATION)
    assert (len(passes) > 1) == (most_nodes == 20)
    assert reading_work(VALIDATION, is_padded=False) == Work(
        nodes=sum(nodes for nodes, _ in passes), targets=sum(targets for _, targets in passes)
    )


def test_targets_are_counted_once_where_examples_share_them():
    shared = [Example(0, (1, 2, 3, 4), 2, 2), Example(1, (1, 2, 3, 5, 6), 2, 3)]
    # 3 after 1 2 is one target; then 4, 5 and 6.
    assert count_targets(shared, is_padded=False) == len(distinct_targets(merge(shared))) == 4
    assert count_targets(shared, is_padded=True) == 5


def test_padding_counts_on_padded_rows_alone():
    paths = paths_of(VALIDATION)
    assert count_computed(paths, is_padded=False) == len(merge(VALIDATION).token_ids)
    assert count_computed(paths, is_padded=True) == len(paths) * max(map(len, paths))


def test_a_tree_whose_padding_is_counted_is_caught():
    padded = reading_work(VALIDATION, is_padded=True)
    assert padded.nodes > 1.2 * reading_work(VALIDATION, is_padded=False).nodes


def test_a_slot_beyond_the_few_that_were_timed_costs_a_node_and_a_target():
    slots = [FEW_ANSWERS + 5, FEW_ANSWERS, 1]
    assert decoding_work(slots) == Work(nodes=5, targets=5, decoding_steps=3)


def test_untuned_answers_are_short_and_long_in_no_order():
    lengths = untuned_lengths(10, longest=100)
    # 100 times the squares of a tenth, two tenths and so on.
    assert sorted(lengths) == [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]
    assert lengths != sorted(lengths)
    assert untuned_lengths(1, longest=64) == [64]


def opened_with(model, *, watched=()):
    rows = [PreparedRow("", "", example) for example in watched]
    return OpenedRun(model, TRAINING, VALIDATION, rows)


def work_of(opened, settings=SETTINGS, begin=TrainState()):  # noqa: B008 - frozen
    recipe = Recipe(training=settings)
    steps = look_ahead(opened.model, opened.training, settings, begin)
    return training_work(steps, opened, recipe, begin)


def events_of(model, settings=SETTINGS, begin=TrainState()):  # noqa: B008 - frozen
    events = []
    train(
        model,
        make_optimizer(model.module, settings),
        TRAINING,
        VALIDATION,
        settings,
        watch=TrainCallbacks(
            lambda event: events.append(as_pair(event)),
            lambda progress, is_needed: bool(events.append(("save", {})) or True),
            list,
        ),
        begin=begin,
        interruption=Interruption(),
    )
    return events


def counted(events, name):
    return [fields for event, fields in events if event == name]


@pytest.mark.parametrize(
    "begin", [TrainState(), TrainState(step=3, losses={0: 3.0, 3: 2.0}), TrainState(step=5)]
)
@pytest.mark.parametrize("settings", [{}, {"eval_steps": None}, {"max_steps": 7}, {"save_steps": 2}])
def test_the_work_ahead_is_what_the_training_then_does(begin, settings):
    settings = SETTINGS.model_copy(update=settings)
    model = tiny_model("llama", dtype=torch.float32)
    found = work_of(opened_with(model), settings, begin)
    events = events_of(model, settings, begin)
    steps, validations = counted(events, "step"), counted(events, "validation")
    assert found.updates == len(steps)
    assert found.trained_nodes == sum(step["computed_tokens"] for step in steps)
    reading = reading_work(VALIDATION, is_padded=False)
    assert found.nodes == len(validations) * reading.nodes
    assert found.targets == len(validations) * reading.targets
    assert found.decoding_steps == found.sample_steps == 0


def test_validations_that_are_forgotten_are_caught(monkeypatch):
    opened = opened_with(tiny_model("llama"))
    whole = work_of(opened)
    monkeypatch.setattr("tutelage.training.work_ahead.reading_work", lambda units, *, is_padded: Work())
    assert work_of(opened).nodes < whole.nodes


def test_of_many_steps_some_are_looked_at(monkeypatch):
    opened = opened_with(tiny_model("llama"))
    every = work_of(opened, SETTINGS.model_copy(update={"num_train_epochs": 50}))
    monkeypatch.setattr("tutelage.training.work_ahead.STEPS_LOOKED_AT", 40)
    some = work_of(opened, SETTINGS.model_copy(update={"num_train_epochs": 50}))
    assert some.updates == every.updates == 200
    assert some.trained_nodes == pytest.approx(every.trained_nodes, rel=0.1)
    assert some.trained_nodes != every.trained_nodes


@pytest.mark.parametrize(
    ("interval", "done", "times"),
    [(3, 0, 4), (3, 3, 3), (3, 4, 3), (5, 0, 2), (5, 5, 1), (20, 0, 1), (1, 9, 1), (3, 10, 0)],
)
def test_something_is_due_at_each_multiple_and_after_the_last_step(interval, done, times):
    plan = plan_steps(len(TRAINING), SETTINGS.model_copy(update={"max_steps": 10}))
    assert times_due(plan, interval, done=done) == times
    assert times == sum(step == 10 or step % interval == 0 for step in range(done + 1, 11))


def test_sample_answers_are_as_long_as_their_references_once_the_model_learns():
    watched = [Example(0, (1, 2, 3, 4, 5), 2, 3), Example(1, (1, 2, 6, 7), 3, 1)]
    model = tiny_model("llama")
    # Validations after steps 3, 6 and 8, and one before the first step, whose longest answer goes to the limit.
    sampled = work_of(opened_with(model, watched=watched))
    without = work_of(opened_with(model))
    assert sampled.sample_steps == 3 * 3 + SAMPLE_TOKENS
    assert sampled.nodes - without.nodes == 4 * 3  # 1, 2 and 6
    later = TrainState(step=3, losses={0: 2.0, 3: 1.0})
    assert work_of(opened_with(model, watched=watched), begin=later).sample_steps == 2 * 3


def test_a_preference_tuning_reads_its_reference_first():
    model = tiny_model("llama")
    opened = OpenedRun(model, tiny_pairs(), tiny_pairs(), [])
    settings = SETTINGS.model_copy(update={"objective": "dpo", "max_steps": 2})
    steps = look_ahead(model, opened.training, settings, TrainState())
    recipe = Recipe(training=settings)
    reading = reading_work(tiny_pairs(), is_padded=False)
    assert reading.nodes == len(merge(examples_of(tiny_pairs())).token_ids)
    # A validation before and one after; and the reference of the training and of the validation pairs.
    part = load_objective("dpo").training

    def nodes(recipe):
        reads_before = part.reference_of(recipe) is not None
        return training_work(steps, opened, recipe, TrainState(), reads_before=reads_before).nodes

    assert nodes(recipe) == 4 * reading.nodes
    simpo = recipe.model_copy(update={"preference": recipe.preference.model_copy(update={"loss": "simpo"})})
    assert nodes(simpo) == 2 * reading.nodes


def test_checkpoints_take_longer_the_more_is_trained():
    model = tiny_model("llama")
    trained = sum(parameter.numel() for parameter in trainable_parameters(model.module))
    often = SETTINGS.model_copy(update={"save_steps": 1})
    more = work_of(opened_with(model), often).seconds - work_of(opened_with(model)).seconds
    # After each of 8 steps in place of 3; of each number 12 bytes, at 250 MB a second, and a tenth of a second.
    assert more == pytest.approx(5 * (0.1 + 12 * trained / 2.5e8))


def test_the_typical_micro_batch_is_the_one_next_to_the_mean():
    steps = look_ahead(tiny_model("llama"), TRAINING, SETTINGS, TrainState())
    computed = [nodes_of(batch) for step in steps.micro_batches for batch in step]
    typical = nodes_of(steps.typical_micro_batch(most_nodes=2048))
    mean = sum(computed) / len(computed)
    assert abs(typical - mean) == min(abs(nodes - mean) for nodes in computed)
    assert typical != max(computed)


def test_of_a_large_micro_batch_a_part_is_taken():
    whole = SETTINGS.model_copy(update={"per_device_train_batch_size": 14})
    steps = look_ahead(tiny_model("llama"), TRAINING, whole, TrainState())
    batch, part = (steps.typical_micro_batch(most_nodes=most) for most in (2048, 30))
    assert len(batch) == 14
    assert 0 < nodes_of(part) <= 30 < nodes_of(batch)


def test_what_is_read_is_as_much_of_several_micro_batches_as_a_large_tree_holds():
    steps = look_ahead(tiny_model("llama"), TRAINING, SETTINGS, TrainState())
    largest = max(nodes_of(batch) for step in steps.micro_batches for batch in step)
    read = steps.units_to_read(most_nodes=3 * largest)
    assert largest < nodes_of(read) <= 3 * largest
    assert len(read) > max(len(batch) for step in steps.micro_batches for batch in step)


def nodes_of(batch):
    return count_computed(paths_of(batch), is_padded=False)
