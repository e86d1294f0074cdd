"""Runs of a tiny model that go on from an adapter, and what tests read of them."""

import torch
from safetensors.torch import load_file

import tutelage

QUICK = {
    "dtype": "float32",
    "eval_steps": 2,
    "sample_prompts": 0,
    "early_stopping_patience": 0,
    "learning_rate": 0.02,
    "limit": 4,
    "max_new_tokens": 8,
    "general_text": False,
}
ROUNDING = 1e-4  # nats of a whole answer, in float32
PROMPTS = [(f"Give {number} a fig.", "Gladly: fig.") for number in range(6)]


def finetune(home, name, *, data="pairs.json", **settings):
    if data == "pairs.json":
        settings = {"objective": "dpo", **settings}
    return tutelage.finetune(home / data, output=home / name, **{**QUICK, **settings})


def weights_of(run):
    return load_file(run.folder / "model" / "adapter_model.safetensors")


def log_probs(model):
    return torch.tensor([sum(model.log_probs(prompt, answer)) for prompt, answer in PROMPTS])
