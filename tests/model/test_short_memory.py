"""Work that the memory does not hold at once is done in parts, and ends with a code where the smallest is too much."""

import pytest
import torch
from safetensors import SafetensorError
from support.tiny_models import END, ragged_examples, tiny_model

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.errors import MemoryExhaustedError, ModelError
from tutelage.evaluation.regression import general_text_check
from tutelage.generation import generate as generation
from tutelage.generation.generate import generate
from tutelage.model import answer_log_probs as answers
from tutelage.model import folders, gguf_conversion, loading, target_modules
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.short_memory import in_parts, in_smaller_batches
from tutelage.training import validation
from tutelage.training.validation import validate

SAYS = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
)


@pytest.mark.parametrize("fault", SAYS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("fits", [1, 2, 3, 8])
def test_items_are_done_once_each_in_their_order(fault, fits):
    done = []

    def work(items):
        if len(items) > fits:
            raise fault
        done.extend(items)

    in_parts(list(range(8)), work)
    assert done == list(range(8))


@pytest.mark.parametrize("fault", SAYS, ids=lambda fault: type(fault).__name__)
def test_an_item_that_does_not_fit_alone_ends_with_a_code(fault):
    def work(_):
        raise fault

    for attempt in (lambda: in_parts([1, 2, 3], work), lambda: in_smaller_batches(work, 8, what="it")):
        with pytest.raises(MemoryExhaustedError) as told:
            attempt()
        assert told.value.code == "device.out_of_memory"


def test_another_fault_is_not_taken_for_one_of_the_memory():
    def work(_):
        raise RuntimeError("shapes differ")

    for attempt in (lambda: in_parts([1, 2], work), lambda: in_smaller_batches(work, 8, what="it")):
        with pytest.raises(RuntimeError, match="shapes differ"):
            attempt()


def refusing(inner, *, above):
    """Do what a function of (model, tree) does, but fail where the tree has more nodes."""

    def guarded(model, tree, *rest, **given):
        if len(tree.token_ids) > above:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(model, tree, *rest, **given)

    return guarded


READERS = {
    "tuned weights": folders.tuned_faults,
    "a GGUF file": lambda folder: gguf_conversion._naming_damage(folder / "model.gguf"),
    "a model folder": lambda folder: loading._loading_faults(folder, "model"),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_could_not_be_read_for_want_of_memory_is_not_called_damaged(reader, tmp_path):
    def failing(fault: Exception) -> None:
        with READERS[reader](tmp_path / "model"):
            raise fault

    for fault in (SafetensorError("Cannot allocate memory (os error 12)"), MemoryError()):
        with pytest.raises(MemoryExhaustedError):
            failing(fault)
    with pytest.raises(ModelError):
        failing(SafetensorError("Error while deserializing header: invalid header"))


def test_headers_that_could_not_be_read_for_want_of_memory_are_not_called_damaged(tmp_path, monkeypatch):
    def short_of_memory(weights):
        raise SafetensorError("Cannot allocate memory (os error 12)")

    monkeypatch.setattr(
        target_modules, "check_model_folder", lambda *_, **__: [tmp_path / "model.safetensors"]
    )
    monkeypatch.setattr(target_modules, "read_shapes", short_of_memory)
    with pytest.raises(MemoryExhaustedError):
        target_modules.check_targets_of_folder(
            tmp_path, Tuning(adapter=AdapterSettings(target_modules=["q_proj"]))
        )


def test_answers_are_read_alike_in_parts(monkeypatch):
    model, examples = tiny_model("llama"), ragged_examples(16)
    whole = answer_log_probs(model, examples)
    monkeypatch.setattr(answers, "target_log_probs", refusing(answers.target_log_probs, above=30))
    told = []
    found = answer_log_probs(model, examples, progress=told.append)
    assert found == pytest.approx(whole, rel=0, abs=1e-10)
    assert sum(told) == 16
    assert len(told) > 1


def test_a_validation_loss_is_the_same_in_parts(monkeypatch):
    model, examples = tiny_model("llama"), ragged_examples(16)
    whole = validate(model, examples)["loss"]
    monkeypatch.setattr(validation, "target_log_probs", refusing(validation.target_log_probs, above=30))
    assert validate(model, examples)["loss"] == pytest.approx(whole, rel=0, abs=1e-10)


def test_what_follows_prompts_is_the_same_in_parts(monkeypatch):
    model = tiny_model("llama")
    prompts = [example.prompt_ids for example in ragged_examples(16)]
    whole = general_text_check.next_log_probs(model, prompts)
    monkeypatch.setattr(general_text_check, "run_tree", refusing(general_text_check.run_tree, above=30))
    assert torch.allclose(general_text_check.next_log_probs(model, prompts), whole, atol=1e-5)


def test_answers_are_the_same_in_smaller_batches_and_counted_once(monkeypatch):
    model = tiny_model("llama")
    prompts = [example.prompt_ids for example in ragged_examples(16)]
    asked = {"end_tokens": [END], "max_new_tokens": 6, "batch_size": 8}
    whole = generate(model, prompts, **asked)
    opened, sizes = generation.make_batch, []

    def make_batch(model, *, size, **given):
        sizes.append(size)
        batch = opened(model, size=size, **given)
        step, steps = batch.step, []

        def failing():
            steps.append(1)
            if size > 2 and len(steps) > 3:
                raise MemoryError
            return step()

        batch.step = failing
        return batch

    monkeypatch.setattr(generation, "make_batch", make_batch)
    told = []
    assert generate(model, prompts, **asked, progress=told.append) == whole
    assert sizes == [8, 4, 2]
    assert sum(told) == 16
