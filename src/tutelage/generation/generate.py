"""Greedy answers of many prompts at once, from one prefill that computes every shared prefix once.

The keys and values of the prompts come out of their prefix tree; each prompt's path is copied into a row of an ordinary
cache, right-aligned, and from there on every row grows by one token a step. A finished row leaves the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from tutelage.data.batches import runs_within
from tutelage.data.prefix_tree import PrefixTree, merge_prompts
from tutelage.model.forward import MAX_NODES, CausalModel, run_tree


@dataclass(frozen=True)
class Response:
    """ids: the generated tokens without the end of turn; stopped: whether the model ended its turn itself."""

    ids: tuple[int, ...]
    stopped: bool


@torch.no_grad()
def generate(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    end_of_turn: int,
    max_new_tokens: int,
    batch_size: int,
    progress: Callable[[int], None] = lambda answered: None,
) -> list[Response]:
    """Return the greedy response to each prompt, in the order given; `progress` is told of answers as they finish."""
    model.module.eval()
    responses: dict[int, Response] = {}
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for begin in range(0, len(prompts), batch_size):
        indices = by_length[begin : begin + batch_size]
        answers = _generate_batch(
            model,
            [prompts[index] for index in indices],
            end_of_turn=end_of_turn,
            max_new_tokens=max_new_tokens,
            progress=progress,
        )
        responses.update(zip(indices, answers, strict=True))
    return [responses[index] for index in range(len(prompts))]


def _generate_batch(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    end_of_turn: int,
    max_new_tokens: int,
    progress: Callable[[int], None],
) -> list[Response]:
    logits, cache, seen = _prefill(model, prompts)
    generated: list[list[int]] = [[] for _ in prompts]
    stopped = [False] * len(prompts)
    rows = list(range(len(prompts)))  # which prompt each row of the batch answers
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    for made in range(1, max_new_tokens + 1):
        tokens = logits.argmax(dim=-1)  # (rows,)
        going = []
        for place, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            if token == end_of_turn:
                stopped[row] = True
            else:
                generated[row].append(token)
                going.append(place)
        if len(going) < len(rows):
            progress(len(rows) - len(going))
        if not going:
            break
        if made == max_new_tokens:
            progress(len(going))
            break
        if len(going) < len(rows):
            kept = torch.tensor(going, device=model.device)
            cache.batch_select_indices(kept)
            tokens, seen, lengths = tokens[kept], seen[kept], lengths[kept]
            rows = [rows[place] for place in going]
        seen = torch.nn.functional.pad(seen, (0, 1), value=True)
        logits = _decode(model, tokens, lengths, seen, cache)
        lengths = lengths + 1
    return [Response(tuple(ids), end) for ids, end in zip(generated, stopped, strict=True)]


def _prefill(
    model: CausalModel, prompts: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
    """Return next-token logits (rows, vocabulary), a cache with a row a prompt, and which of its columns are seen."""
    paths = [tuple(prompt) for prompt in prompts]
    width = max(len(path) for path in paths)
    runs = list(runs_within(paths, distinct_tokens=MAX_NODES))
    logits, layers = zip(
        *(_prefill_run(model, [paths[row] for row in run], width) for run in runs), strict=True
    )
    # Runs hold the prompts in sorted order; put them back into the order given.
    order = torch.tensor([row for run in runs for row in run], device=model.device).argsort()
    cache = DynamicCache(
        [
            tuple(torch.cat(parts)[order] for parts in zip(*layer, strict=True))
            for layer in zip(*layers, strict=True)
        ]
    )
    lengths = torch.tensor([len(path) for path in paths], device=model.device)
    seen = torch.arange(width, device=model.device) >= width - lengths[:, None]  # (rows, columns)
    return torch.cat(logits)[order], cache, seen


def _prefill_run(
    model: CausalModel, paths: Sequence[tuple[int, ...]], width: int
) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Return next-token logits (rows, vocabulary), and each layer's keys and values (rows, key_heads, width, size)."""
    tree = merge_prompts(paths)
    leaves, of_row = torch.tensor([path[-1] for path in tree.paths], device=model.device).unique(
        return_inverse=True
    )
    output = run_tree(model, tree, logits_to_keep=leaves, use_cache=True)
    columns = _right_align(tree, width).to(model.device)
    layers = [
        (layer.keys[0][:, columns].transpose(0, 1), layer.values[0][:, columns].transpose(0, 1))
        for layer in output.past_key_values.layers
    ]
    return output.logits[0][of_row], layers


def _right_align(tree: PrefixTree, width: int) -> torch.Tensor:
    """Return the node that stands in each column of each row, (rows, width); columns before a prompt hold node 0."""
    nodes = torch.zeros(len(tree.paths), width, dtype=torch.int64)
    for row, path in enumerate(tree.paths):
        nodes[row, width - len(path) :] = torch.from_numpy(path)
    return nodes


def _decode(
    model: CausalModel, tokens: torch.Tensor, lengths: torch.Tensor, seen: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    """Append one token to each row; return the logits of the next, (rows, vocabulary)."""
    with model.autocast():
        output = model.module(
            input_ids=tokens[:, None],
            position_ids=lengths[:, None],
            attention_mask=seen[:, None, None, :],  # (rows, 1, 1, columns)
            past_key_values=cache,
            use_cache=True,
        )
    return output.logits[:, -1]


def answer_texts(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    tokenizer: Any,
    end_of_turn: int,
    max_new_tokens: int,
    batch_size: int,
) -> list[str]:
    """Return the greedy answers as texts."""
    responses = generate(
        model, prompts, end_of_turn=end_of_turn, max_new_tokens=max_new_tokens, batch_size=batch_size
    )
    return [tokenizer.decode(response.ids, skip_special_tokens=True) for response in responses]
