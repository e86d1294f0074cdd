"""Models that cannot run over prefix trees are run on padded rows: as exact, found out at start, and said."""

from functools import partial

import pytest
import torch
from support.tiny_models import (
    CPU,
    END,
    FAMILIES,
    gradients_of,
    greedy_one_by_one,
    largest_relative_difference,
    log_probs_token_by_token,
    ragged_examples,
    tiny_model,
)
from transformers import AutoModelForCausalLM, BloomConfig, Gemma2Config, MambaConfig, StableLmConfig

from tutelage.config.recipe import AdapterSettings, TrainingSettings, Tuning
from tutelage.errors import ModelError
from tutelage.generation.generate import generate
from tutelage.generation.sampling import Sampling
from tutelage.model import assembly, forward
from tutelage.model.assembly import load_base, load_for_training, load_tuned, save_tuned
from tutelage.model.forward import CausalModel, padded_log_probs, target_log_probs
from tutelage.model.sources import ModelSource
from tutelage.training.optimizer import make_optimizer
from tutelage.training.step import optimizer_step
from tutelage.tree.prefix_tree import merge

EXAMPLES = ragged_examples(12)
SETTINGS = AdapterSettings(r=4)


def padded(family: str) -> CausalModel:
    module = tiny_model(family).module
    module.set_attn_implementation("eager")
    return CausalModel(module, CPU, torch.float64, fallback_reason="a test wants it")


def alone(module) -> torch.Tensor:
    return torch.cat([log_probs_token_by_token(module, example) for example in EXAMPLES])


@pytest.mark.parametrize("padding", [0, 1, 7, 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_padded_rows_give_the_log_probabilities_and_gradients_of_one_example_at_a_time(family, padding):
    model, reference = padded(family), tiny_model(family)
    found = padded_log_probs(model, merge(EXAMPLES), padding=padding)
    expected = alone(reference.module)
    # transformers takes the softmax of its eager attention in float32, whatever the model's type.
    assert (found - expected).abs().max() < 1e-5
    found.sum().backward()
    expected.sum().backward()
    assert largest_relative_difference(gradients_of(model.module), gradients_of(reference.module)) < 1e-5


def test_a_model_that_says_so_is_run_on_padded_rows():
    model = padded("llama")
    with torch.no_grad():
        assert torch.equal(target_log_probs(model, merge(EXAMPLES)), padded_log_probs(model, merge(EXAMPLES)))


def test_targets_read_one_column_late_are_caught(monkeypatch):
    model = padded("llama")
    log_probs_of = forward.log_probs_of
    monkeypatch.setattr(
        forward, "log_probs_of", lambda logits, *given: log_probs_of(logits.roll(1, dims=0), *given)
    )
    with torch.no_grad():
        assert (padded_log_probs(model, merge(EXAMPLES)) - alone(model.module)).abs().max() > 1e-2


SHAPE = {
    "vocab_size": END + 1,
    "hidden_size": 64,
    "initializer_range": 0.25,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
OTHERS = {
    "its attention knows no tree": StableLmConfig(**SHAPE, **LAYERS, num_key_value_heads=4),
    "soft caps": Gemma2Config(**SHAPE, **LAYERS, num_key_value_heads=2, head_dim=16),
    "positions in the attention": BloomConfig(**SHAPE, n_layer=2, n_head=4),
    "no attention at all": MambaConfig(**SHAPE, num_hidden_layers=2, state_size=8),
}


@pytest.fixture(params=OTHERS)
def source(request, tmp_path) -> ModelSource:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(OTHERS[request.param], dtype=torch.float32)
    module.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    return ModelSource(tmp_path / "model", "a-model", "0" * 64, None)


def load_it(source: ModelSource, **named) -> CausalModel:
    settings = SETTINGS
    if '"mamba"' in (source.folder / "config.json").read_text():  # peft refuses the rest of its layers
        settings = SETTINGS.model_copy(update={"target_modules": ["in_proj", "x_proj"]})
    return load_for_training(
        source, Tuning(adapter=settings), CPU, torch.float32, seed=0, probes=EXAMPLES[:2], **named
    )


def test_each_wait_is_named_as_it_begins(source):
    named = []
    load_it(source, waiting=named.append)
    check = "Checking the model's results against one row at a time"
    assert named == [check, "Loading the model again, for padded rows", check]


def test_such_a_model_is_tuned_saved_and_asked_as_its_own_code_would(source, tmp_path):
    model = load_it(source)
    assert model.fallback_reason is not None
    optimizer = make_optimizer(model.module, TrainingSettings(learning_rate=1e-2))
    step = partial(optimizer_step, model, EXAMPLES, optimizer, max_grad_norm=1.0)
    losses = [step(micro_batch_size=size).loss for size in (4, 12, 3)]
    assert losses[2] < losses[0]

    save_tuned(model, tmp_path / "tuned", Tuning(adapter=SETTINGS), base="a-base")
    base = load_base(source, CPU, torch.float32, fallback_reason=model.fallback_reason)
    tuned = load_tuned(base, tmp_path / "tuned", Tuning(adapter=SETTINGS))
    assert tuned.fallback_reason == model.fallback_reason
    prompts = [example.prompt_ids for example in EXAMPLES[:3]]
    found = generate(tuned, prompts, end_tokens=[-1], max_new_tokens=4, batch_size=8)
    tuned.module.set_attn_implementation = lambda name: None  # as it is, for the reference
    for prompt, answer in zip(prompts, found, strict=True):
        assert list(answer.ids) == greedy_one_by_one(tuned.module, prompt, max_new_tokens=4)
        assert not answer.stopped
    drawn = generate(
        tuned, prompts, end_tokens=[-1], max_new_tokens=4, batch_size=8, sampling=Sampling(5.0, seed=1)
    )
    assert drawn != found


def test_a_model_that_is_wrong_in_every_way_is_refused(source, monkeypatch):
    def damaged(*arguments, **options):
        module = load_model(*arguments, **options)
        module.get_output_embeddings().weight.data[3, 3] = float("nan")
        return module

    load_model = assembly.load_model
    monkeypatch.setattr(assembly, "load_model", damaged)
    with pytest.raises(ModelError, match="gives different results over padded rows"):
        load_it(source)
