"""The pace of a run: read off a clock of the test's own, and measured without a trace in what is trained."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from support.kept_training import FULL, FUSED, LORA, TRAINING, Training, recipe_of
from support.tiny_models import tiny_model, weights_of
from support.tiny_tokenizer import write_tiny_model

from tutelage.config.recipe import TrainingSettings
from tutelage.generation.pace import seconds_of_a_step
from tutelage.model.sources import ModelSource
from tutelage.training import pace as pace_module
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.optimizer import trainable_parameters
from tutelage.training.pace import measure_pace
from tutelage.training.work import Pace
from tutelage.tree.examples import Example

SETTINGS = TrainingSettings()
# Four shared nodes, three more and one more, which are filled up to 32; 2 targets.
BATCH = [Example(0, (1, 2, 3, 4, 5, 6, 7, 8), 7, 1), Example(1, (1, 2, 3, 4, 9, 8), 5, 1)]
NODES, FILLED = 8, 32
STEPS = 6


class Clock:
    """A clock that goes on by what is done, and what is done in its place: as many seconds as it is told to take."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def taking(self, seconds, result=None):
        def work(*_, **__):
            self.now += next(seconds) if hasattr(seconds, "__next__") else seconds
            return result

        return work


@pytest.fixture
def clock(monkeypatch):
    """Training takes 1,000 seconds at first and then 400, clipping 1, an update 7, a node 2 and a target 5."""
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    monkeypatch.setattr(pace_module, "accumulate_gradients", clock.taking(iter([1000.0, *[400.0] * 9])))
    monkeypatch.setattr(pace_module, "clip_gradients", clock.taking(1.0))
    optimizer = SimpleNamespace(step=clock.taking(7.0))
    monkeypatch.setattr(pace_module, "make_optimizer", lambda *_: optimizer)

    def read(model, tree):
        targets = {*zip(tree.target_parents.tolist(), tree.target_ids.tolist(), strict=True)}
        clock.now += 2.0 * (-(-len(tree.token_ids) // FILLED) * FILLED) + 5.0 * len(targets)
        return torch.zeros(1)

    monkeypatch.setattr(pace_module, "target_log_probs", read)
    return clock


def measured(model, batch=BATCH, **options):
    given = {"warms_up": True, "read": batch, **options}
    return measure_pace(model, batch, SETTINGS, objective=CROSS_ENTROPY, **given)


def test_each_second_goes_to_its_kind_of_work(clock):
    found = measured(tiny_model("llama"))
    assert found == Pace(400.0 / NODES, 1.0 + 7.0, 2.0, 5.0, decoding_steps=0.0, sample_steps=0.0)


def test_reading_is_timed_on_rows_of_its_own(clock):
    found = measured(tiny_model("llama"), read=[*BATCH, *TRAINING[12:20]])
    assert (found.nodes, found.targets) == pytest.approx((2.0, 5.0))
    assert found.trained_nodes == 400.0 / NODES


def test_without_warming_up_the_first_pass_is_the_one_that_is_timed(clock):
    assert measured(tiny_model("llama"), warms_up=False).trained_nodes == 1000.0 / NODES


def test_an_update_of_more_numbers_takes_longer_in_proportion(clock, monkeypatch):
    model = tiny_model("llama")
    trained = sum(parameter.numel() for parameter in trainable_parameters(model.module))
    monkeypatch.setattr(pace_module, "NUMBERS_TIMED", trained // 10)
    assert measured(model).updates == pytest.approx(1.0 + 7.0 * trained / (trained // 10))


def test_where_every_token_is_supervised_a_node_takes_the_seconds_of_both(clock):
    everything = [Example(0, (1, 2, 3, 4, 5), 1, 4)]
    found = measured(tiny_model("llama"), everything)
    assert (found.nodes, found.targets) == ((2.0 * FILLED + 5.0 * 4) / FILLED, 0.0)


def test_a_pass_that_is_slower_by_chance_gives_no_negative_seconds(clock, monkeypatch):
    monkeypatch.setattr(pace_module, "target_log_probs", clock.taking(iter([90.0, 80.0]), torch.zeros(1)))
    found = measured(tiny_model("llama"))
    assert (found.nodes, found.targets) == (90.0 / FILLED, 0.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return ModelSource(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"), "tiny", "0" * 64, None)


def trained(source, root, tuning, before=lambda model: None):
    """Train for a few steps, with something done before the first; return the state and the losses."""
    training = Training(root, source, recipe_of(tuning, max_steps=STEPS, eval_steps=3))
    model, _ = training.open()
    before(model)
    training.go()
    losses = [fields["loss"] for name, fields in training.events if name in ("step", "validation")]
    return training.state(STEPS), losses


def measure(model):
    measured(model, TRAINING[:4])
    seconds_of_a_step(model, [example.prompt_ids for example in TRAINING[:3]])


@pytest.mark.parametrize("tuning", [LORA, FUSED, FULL], ids=["dropout", "fused", "full"])
def test_a_training_whose_pace_was_measured_is_the_same_to_the_bit(source, tmp_path, tuning):
    plain = trained(source, tmp_path / "plain", tuning)
    assert trained(source, tmp_path / "measured", tuning, measure) == plain


def test_a_gradient_that_is_left_behind_is_caught(source, tmp_path):
    def measure_and_leave_one(model):
        measure(model)
        parameter = trainable_parameters(model.module)[0]
        parameter.grad = torch.ones_like(parameter)

    plain = trained(source, tmp_path / "plain", LORA)
    assert trained(source, tmp_path / "measured", LORA, measure_and_leave_one) != plain


def test_nothing_of_the_model_and_no_generator_is_another_one_afterwards(source, tmp_path):
    model, _ = Training(tmp_path, source, recipe_of(LORA)).open()
    weights, generator = weights_of(model.module), torch.get_rng_state()
    trainable = [parameter.requires_grad for parameter in model.module.parameters()]
    measure(model)
    assert all(torch.equal(weights[name], after) for name, after in weights_of(model.module).items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert [parameter.requires_grad for parameter in model.module.parameters()] == trainable
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_a_generator_that_is_not_put_back_is_caught(source, tmp_path, monkeypatch):
    monkeypatch.setattr(pace_module, "_generators_kept", lambda device: nullcontext())
    model, _ = Training(tmp_path, source, recipe_of(LORA)).open()
    generator = torch.get_rng_state()
    measure(model)
    assert not torch.equal(torch.get_rng_state(), generator)
