"""What is trained in place for labels is the part it says, and comes back from the disk as it was."""

import pytest
import torch
from safetensors.torch import load_file
from support.tiny_models import FAMILIES, tiny_model
from support.tiny_tokenizer import write_tiny_gpt2, write_tiny_model

from tutelage.config.recipe import Tuning
from tutelage.errors import ModelError
from tutelage.model.assembly import check_tuned, load_base, load_for_training, load_tuned, save_tuned
from tutelage.model.class_head import class_log_probs, with_class_head
from tutelage.model.forward import target_log_probs
from tutelage.model.sources import ModelSource
from tutelage.model.trained_weights import WEIGHTS, trained_weights
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

LAST_BLOCK, EVERYTHING = Tuning("last-block"), Tuning("full")
TWO_BLOCKS, HEAD = Tuning("last-two-blocks"), Tuning("head")
CPU, CLASSES = torch.device("cpu"), 3
TEXTS = [(5, 6, 7, 8), (5, 6, 7), (5, 6, 9, 8, 3), (11, 4)]
PROBES = [Example(0, (5, 6, 7), prompt_tokens=1, supervised=2)] * 2
OF_FAMILY = {"llama": ("model.layers.1.", "model.norm."), "gpt2": ("transformer.h.1.", "transformer.ln_f.")}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_block_is_the_block_the_norm_and_the_head_and_nothing_else(family):
    module = with_class_head(tiny_model(family), CLASSES, seed=0).module
    begins = (*OF_FAMILY.get(family, OF_FAMILY["llama"]), "lm_head.")
    expected = {name for name, _ in module.named_parameters() if name.startswith(begins)}
    assert len(expected) > len(begins)
    assert set(trained_weights(module, LAST_BLOCK)) == expected
    assert set(trained_weights(module, EVERYTHING)) == {name for name, _ in module.named_parameters()}
    before = {name for name, _ in module.named_parameters() if name.startswith(begins[0].replace("1", "0"))}
    assert before
    assert set(trained_weights(module, TWO_BLOCKS)) == expected | before
    assert set(trained_weights(module, HEAD)) == {"lm_head.weight"}


def test_a_model_that_does_not_tell_its_blocks_is_refused():
    module = with_class_head(tiny_model("llama"), CLASSES, seed=0).module
    module.config.num_hidden_layers = 5
    with pytest.raises(ModelError, match="does not know which parts of a"):
        trained_weights(module, LAST_BLOCK)


@pytest.fixture(params=["llama", "gpt2"])
def source(request, tmp_path):
    write = write_tiny_model if request.param == "llama" else write_tiny_gpt2
    return ModelSource(write(tmp_path / "tiny"), "tiny", "0" * 64, None)


def tuned(source, settings):
    """A model after some steps of plain descent, with the gradients that it had."""
    model = load_for_training(source, settings, CPU, torch.float32, seed=1, probes=PROBES, classes=CLASSES)
    tree = merge([Example(row, (*text, row % CLASSES), len(text), 1) for row, text in enumerate(TEXTS)])
    for _ in range(3):
        (-target_log_probs(model, tree).mean()).backward()
        with torch.no_grad():
            for weight in model.module.parameters():
                if weight.grad is not None:
                    weight.sub_(0.1 * weight.grad)
                    weight.grad = None
    return model


@pytest.mark.parametrize(
    "settings", [LAST_BLOCK, EVERYTHING, TWO_BLOCKS, HEAD], ids=lambda settings: settings.method
)
def test_what_was_trained_comes_back_over_the_base_with_the_same_labels(source, settings, tmp_path):
    model = tuned(source, settings)
    folder = tmp_path / "model"
    folder.mkdir()
    save_tuned(model, folder, settings, base="tiny")
    check_tuned(folder, settings)
    base = with_class_head(load_base(source, CPU, torch.float32), CLASSES, seed=0)
    untuned = class_log_probs(base, TEXTS, CLASSES)
    loaded = load_tuned(base, folder, settings)
    expected = class_log_probs(model, TEXTS, CLASSES)
    assert abs(class_log_probs(loaded, TEXTS, CLASSES) - expected).max() < 1e-5
    assert abs(untuned - expected).max() > 1e-2, "the base alone would be found out"
    before, after = load_base(source, CPU, torch.float32).module, dict(loaded.module.named_parameters())
    changed = {name for name, weight in before.named_parameters() if not torch.equal(weight, after[name])}
    assert changed - {"lm_head.weight"} <= set(load_file(folder / WEIGHTS))
    assert changed or settings is HEAD, "something was trained"


@pytest.mark.parametrize(
    "settings", [LAST_BLOCK, EVERYTHING, TWO_BLOCKS, HEAD], ids=lambda settings: settings.method
)
def test_the_gradients_are_those_of_one_text_at_a_time(source, settings):
    model = load_for_training(source, settings, CPU, torch.float32, seed=1, probes=PROBES, classes=CLASSES)
    examples = [Example(row, (*text, row % CLASSES), len(text), 1) for row, text in enumerate(TEXTS)]
    found = gradients_of(model, [examples])
    alone = gradients_of(model, [[example] for example in examples])
    other = gradients_of(model, [[example] for example in examples[1:]])
    assert set(found) == set(trained_weights(model.module, settings))
    assert max((found[name] - alone[name]).abs().max() for name in found) < 1e-5
    assert max((found[name] - other[name]).abs().max() for name in found) > 1e-3


def gradients_of(model, batches):
    model.module.zero_grad(set_to_none=True)
    for batch in batches:
        (-target_log_probs(model, merge(batch)).sum()).backward()
    named = model.module.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


@pytest.mark.parametrize("damage", ["cut", "lost", "other"])
def test_weights_that_are_not_whole_are_told_with_the_way_to_train_again(source, tmp_path, damage):
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    model = load_for_training(source, LAST_BLOCK, CPU, torch.float32, seed=1, probes=PROBES, classes=CLASSES)
    save_tuned(model, folder, LAST_BLOCK, base="tiny")
    weights = folder / WEIGHTS
    if damage == "lost":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    classes = CLASSES + 1 if damage == "other" else CLASSES
    with pytest.raises(ModelError, match=f"`tutelage train {tmp_path / 'run'} --overwrite`"):
        if damage != "other":
            check_tuned(folder, LAST_BLOCK)
        load_tuned(
            with_class_head(load_base(source, CPU, torch.float32), classes, seed=0), folder, LAST_BLOCK
        )
