"""Merged weights are the adapter on its base: the same logits and answers, and to the bit once they are loaded anew."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.tiny_models import CPU, FAMILIES, tiny_model

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.generation.generate import generate
from tutelage.model.adapters import add_adapter, load_adapter, save_adapter
from tutelage.model.assembly import OWN_ATTENTION, load_merged
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_model
from tutelage.model.sources import ModelSource

SETTINGS = AdapterSettings(r=4, lora_alpha=12)
PROMPTS = 200
RELOADED = """
import json, sys
import numpy as np, torch
from transformers import AutoModelForCausalLM
folder, prompts = sys.argv[1], json.loads(sys.stdin.read())
torch.set_num_threads(int(sys.argv[2]))
model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
with torch.no_grad():
    np.save(folder + "/logits.npy", np.stack([model(torch.tensor([ids])).logits[0, -1].numpy() for ids in prompts]))
"""


@pytest.fixture(scope="module", params=[(family, tied) for family in FAMILIES for tied in (True, False)])
def models(request, tmp_path_factory):
    """Give a base, the same with a tuned adapter, and both merged from their folders."""
    family, tied = request.param
    folder = tmp_path_factory.mktemp("merging")
    tiny_model(family, dtype=torch.float32, tie_word_embeddings=tied).module.save_pretrained(folder / "base")
    tuned = add_adapter(plain(folder / "base"), SETTINGS, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    save_adapter(tuned, folder / "adapter", base="a-base")
    source = ModelSource(folder / "base", "a-base", "0" * 64, None)
    merged = load_merged(source, folder / "adapter", Tuning(adapter=SETTINGS))
    adapted = load_adapter(plain(folder / "base"), folder / "adapter")
    return plain(folder / "base"), adapted.eval(), merged.eval(), folder


def plain(folder):
    return load_model(folder, dtype=torch.float32, device=CPU, attention=OWN_ATTENTION)


def prompts(module):
    drawn = np.random.default_rng(3)
    size = module.config.vocab_size
    return [drawn.integers(0, size, drawn.integers(2, 12)).tolist() for _ in range(PROMPTS)]


@torch.no_grad()
def logits(module, asked):
    return np.stack([module(torch.tensor([ids])).logits[0, -1].numpy() for ids in asked])


def answers(module, asked):
    model = CausalModel(module, CPU, torch.float32, fallback_reason="transformers' own way is wanted")
    found = generate(model, asked, end_tokens=[-1], max_new_tokens=4, batch_size=64)
    return [answer.ids for answer in found]


def test_merged_weights_have_the_logits_and_the_answers_of_the_adapter(models):
    base, adapted, merged, _ = models
    asked = prompts(base)
    assert np.abs(logits(merged, asked) - logits(adapted, asked)).max() <= 1e-4
    assert answers(merged, asked) == answers(adapted, asked)
    assert np.abs(logits(merged, asked) - logits(base, asked)).max() > 1e-2, "the base would pass as well"


def test_a_head_stays_tied_to_the_embeddings_where_it_was(models):
    base, _, merged, _ = models
    own, found = (
        one.get_output_embeddings().weight is one.get_input_embeddings().weight for one in (base, merged)
    )
    assert found == own


def test_merged_weights_come_back_to_the_bit_in_a_fresh_process(models):
    base, _, merged, folder = models
    asked = prompts(base)[:20]
    merged.save_pretrained(folder / "merged")
    command = [sys.executable, "-c", RELOADED, str(folder / "merged"), str(torch.get_num_threads())]
    subprocess.run(command, input=json.dumps(asked), text=True, check=True, capture_output=True)
    assert np.array_equal(np.load(folder / "merged" / "logits.npy"), logits(merged, asked))
