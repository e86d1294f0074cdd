"""Merged weights are the adapter on its base: the same logits and answers, and to the bit once they are loaded anew."""

import json
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
import torch
from support.tiers import slow
from support.tiny_models import CPU, FAMILIES, tiny_model

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.generation.generate import generate
from tutelage.model.adapters import add_adapter, load_adapter, save_adapter
from tutelage.model.assembly import OWN_ATTENTION, load_merged
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_model
from tutelage.model.sources import ModelSource

SETTINGS = AdapterSettings(r=4, lora_alpha=12)
KINDS = [(family, tied) for family in FAMILIES for tied in (True, False)]
LENGTHS = range(2, 12)
PROMPTS_OF_A_LENGTH = 20
RELOADED = """
import json, sys
import numpy as np, torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(int(sys.argv[1]))
for folder, prompts in json.loads(sys.stdin.read()).items():
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        logits = [model(torch.tensor(ids)).logits[:, -1].numpy() for ids in prompts]
    np.save(folder + "/logits.npy", np.concatenate(logits))
"""


@pytest.fixture(scope="module")
def all_models(tmp_path_factory):
    """Give for each kind a base, the same with a tuned adapter, both merged from their folders, and the folder."""
    return Merged(lambda kind: merge(*kind, tmp_path_factory.mktemp("merging")))


class Merged(dict):
    """The models of each kind, which are made when they are first needed."""

    def __init__(self, make):
        self.make = make

    def __missing__(self, kind):
        self[kind] = self.make(kind)
        return self[kind]


@pytest.fixture(params=[*KINDS[:2], *map(slow, KINDS[2:])])
def models(request, all_models):
    return all_models[request.param]


def merge(family, tied, folder):
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
    """Return prompts of each length together, so that none is padded: (lengths, prompts, tokens)."""
    drawn = np.random.default_rng(3)
    size = module.config.vocab_size
    return [drawn.integers(0, size, (PROMPTS_OF_A_LENGTH, length)).tolist() for length in LENGTHS]


@torch.no_grad()
def logits(module, asked):
    return np.concatenate([module(torch.tensor(ids)).logits[:, -1].numpy() for ids in asked])


def answers(module, asked):
    model = CausalModel(
        module, CPU, torch.float32, fallback_reason="transformers' own attention was requested"
    )
    found = generate(model, [*chain.from_iterable(asked)], end_tokens=[-1], max_new_tokens=4, batch_size=64)
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


@pytest.fixture(scope="module")
def reloaded(all_models):
    """Save all merged models and let one fresh process load each: its logits, by the folder of the model."""
    asked = {}
    for base, _, merged, folder in (all_models[kind] for kind in KINDS):
        merged.save_pretrained(folder / "merged")
        asked[str(folder / "merged")] = prompts(base)
    command = [sys.executable, "-c", RELOADED, str(torch.get_num_threads())]
    subprocess.run(command, input=json.dumps(asked), text=True, check=True, capture_output=True)
    return {folder: np.load(folder / "merged" / "logits.npy") for *_, folder in all_models.values()}


@pytest.mark.slow
def test_merged_weights_come_back_to_the_bit_in_a_fresh_process(models, reloaded):
    base, _, merged, folder = models
    assert np.array_equal(reloaded[folder], logits(merged, prompts(base)))
