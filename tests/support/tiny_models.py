"""Tiny random models of three families, ragged examples that share prefixes, and one-at-a-time references.

In float64 a real fault shows as 1e-2 and rounding as 1e-15. So the references take transformers' own models, attention
and causal masks, but the norms and the softmax that transformers computes in float32 are computed in float64.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, Qwen2Config

from tutelage.model.forward import CausalModel
from tutelage.model.tree_attention import ATTENTION
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree

FAMILIES = ("llama", "gpt2", "qwen2")
VOCABULARY = 131
CONTEXT = 256
END = 130
CPU = torch.device("cpu")


def tiny_model(
    family: str,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    compute_dtype: torch.dtype | None = None,
    **settings: float,
) -> CausalModel:
    """Make a model whose weights depend on the family and the seed alone; `settings` go into its configuration."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AutoModelForCausalLM.from_config(
            _config(family, settings), attn_implementation=ATTENTION, dtype=torch.float32
        )
        for parameter in module.parameters():
            if parameter.ndim < 2:
                # Biases of 0 and norms of 1, as they are at first, would hide it if one were lost.
                parameter.data += 0.3 * torch.randn_like(parameter)
    if dtype == torch.float64:
        _norm_in_own_type(module)
    return CausalModel(module.to(dtype).eval(), CPU, compute_dtype or dtype)


def _config(family: str, settings: dict[str, float]) -> PreTrainedConfig:
    # Weights much larger than in practice, so that every token depends clearly on all before it.
    shared = {
        "vocab_size": VOCABULARY,
        "initializer_range": 0.25,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if family == "gpt2":
        shape = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
        no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return GPT2Config(**shared, **shape, **no_dropout | settings)
    shape = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
    }
    if family == "qwen2":
        return Qwen2Config(**shared, **shape, **{"tie_word_embeddings": True} | settings)
    return LlamaConfig(**shared, **shape, **{"tie_word_embeddings": False} | settings)


def _norm_in_own_type(module: torch.nn.Module) -> None:
    """Put torch's RMS norm, which stays in float64, where transformers has its own, which goes through float32."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if hasattr(child, "variance_epsilon"):
                norm = torch.nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(parent, name, norm)


def ragged_examples(count: int, *, seed: int = 0) -> list[Example]:
    """Make rows that share prefixes in every way that rows can; count is at least 8."""
    chance = random.Random(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(chance.randrange(END) for _ in range(chance.randint(low, high)))

    preamble = ids(4, 4)
    prompts = [preamble + ids(1, 8) for _ in range(count // 2)]
    one, other = prompts[0], prompts[1]
    answer = ids(5, 5)
    made = [
        (one, (*answer, END)),
        (one, (*answer, END)),  # the same row again
        (one, answer[:3]),  # the beginning of another row
        (one, (*answer[:2], (answer[2] + 1) % END, *ids(2, 4), END)),  # a branch inside the response
        (other, (END,)),  # the shortest response
        (ids(1, 1), (*ids(3, 3), END)),  # the shortest prompt, which shares nothing
        (one + answer, (*ids(1, 3), END)),  # its prompt goes on where another's response does
    ]
    made += [(chance.choice(prompts), (*ids(0, 9), END)) for _ in range(count - len(made))]
    examples = [
        Example(row, prompt + response, len(prompt), len(response))
        for row, (prompt, response) in enumerate(made)
    ]
    # One row whose prompt is supervised too.
    last = examples[-1]
    examples[-1] = Example(last.row, last.ids, last.prompt_tokens, len(last.ids) - 1)
    chance.shuffle(examples)
    return examples


def siblings_see_each_other(tree: PrefixTree) -> PrefixTree:
    """A fault: where a path branches off, the last node of the path before it stands in place of the parent."""
    paths = [path.copy() for path in tree.paths]
    reached = -1
    for path in sorted(paths, key=lambda path: (path[-1], len(path))):
        shared = int(np.searchsorted(path, reached, side="right"))
        if 0 < shared < len(path):
            path[shared - 1] = reached
        reached = max(reached, int(path[-1]))
    return replace(tree, paths=paths)


@contextmanager
def own_attention(module: Any) -> Iterator[None]:
    """Let the model attend by transformers' eager code, with its softmax in the type of the scores."""
    softmax = torch.nn.functional.softmax

    def softmax_in_own_type(scores: torch.Tensor, dim: int, dtype: Any = None) -> torch.Tensor:
        return softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)

    module.set_attn_implementation("eager")
    try:
        with patch("torch.nn.functional.softmax", softmax_in_own_type):
            yield
    finally:
        module.set_attn_implementation(ATTENTION)


def log_probs_token_by_token(module: Any, example: Example) -> torch.Tensor:
    """Run the model anew for every supervised token, on nothing but the tokens before it: (supervised,)."""
    first = len(example.ids) - example.supervised
    found = []
    with own_attention(module):
        for place in range(first, len(example.ids)):
            logits = module(torch.tensor([example.ids[:place]]), use_cache=False).logits[0, -1]
            found.append(logits.log_softmax(dim=-1)[example.ids[place]])
    return torch.stack(found)


def mean_loss_one_at_a_time(module: Any, examples: Sequence[Example]) -> torch.Tensor:
    """Return the mean negative log-probability of all supervised tokens."""
    log_probs = torch.cat([log_probs_token_by_token(module, example) for example in examples])
    return -log_probs.mean()


def greedy_one_by_one(module: Any, prompt: Sequence[int], *, max_new_tokens: int) -> list[int]:
    """Append the most probable token so many times, each time from the whole text and without a cache."""
    ids = list(prompt)
    with torch.no_grad(), own_attention(module):
        for _ in range(max_new_tokens):
            ids.append(module(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
    return ids[len(prompt) :]


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of every parameter by name."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def gradients_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of every gradient by name, and clear them."""
    gradients = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    module.zero_grad(set_to_none=True)
    return gradients


def largest_relative_difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of any tensor by its norm, relative to the expected norm."""
    assert found.keys() == expected.keys()
    return max(((found[name] - expected[name]).norm() / expected[name].norm()).item() for name in expected)
