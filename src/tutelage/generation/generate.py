"""Answers of many prompts at once: shared prefixes are computed once, and finished rows make room for waiting ones.

The keys and values of the prompts come out of their prefix tree; each prompt's path is copied into a slot, and from
there on every slot grows by one token a step. When enough slots are free, the next prompts are read into them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tutelage.data.batches import runs_within
from tutelage.data.prefix_tree import PrefixTree, merge_prompts
from tutelage.generation.sampling import Sampling, next_tokens
from tutelage.generation.slots import Layers, Slots
from tutelage.model.forward import MAX_NODES, CausalModel, run_tree, undressed
from tutelage.model.linear_groups import GroupWeights, LinearGroup, project

# A prefill costs about as much as a few decoding steps, and so does moving the slots together; both wait until it pays.
SHARE_TO_REFILL = 0.25
SHARE_TO_CLOSE_UP = 0.125


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
    sampling: Sampling | None = None,
    progress: Callable[[int], None] = lambda answered: None,
) -> list[Response]:
    """Return the response to each prompt, in the order given; `progress` is told of answers as they finish.

    Without `sampling` the most probable token is taken each time.
    """
    model.module.eval()
    if model.is_padded:
        return list(
            _one_by_one(model, prompts, end_of_turn, max_new_tokens, sampling=sampling, progress=progress)
        )
    answers = _Answers(end_of_turn, max_new_tokens, [_Answer() for _ in prompts])
    # Sorted, so that prompts that are read together share prefixes.
    waiting = deque(sorted(range(len(prompts)), key=lambda index: tuple(prompts[index])))
    owners: list[int | None] = [None] * min(batch_size, len(prompts))  # which prompt each slot answers
    slots = Slots(len(owners))
    head = None if model.frozen_head is None else LinearGroup([model.frozen_head]).weights(())
    tokens = [0] * len(owners)  # the next token of each slot

    def take(logits: torch.Tensor, rows: Sequence[int], places: Sequence[int]) -> None:
        """Choose the next token of some slots from rows of logits, and free those whose answer ends with it."""
        pairs = [(place, owners[place]) for place in places]
        drawn = [(owner, len(answers.of[owner].ids)) for _, owner in pairs if owner is not None]
        chosen = next_tokens(logits, rows, drawn, sampling)
        ended = 0
        for (place, owner), token in zip(pairs, chosen, strict=True):
            assert owner is not None
            tokens[place] = token
            if answers.add(owner, token):
                owners[place] = None
                slots.free(place)
                ended += 1
        if ended:
            progress(ended)

    while waiting or any(owner is not None for owner in owners):
        free = [place for place, owner in enumerate(owners) if owner is None]
        if waiting and len(free) >= max(1, SHARE_TO_REFILL * len(owners)):
            filled = free[: len(waiting)]
            for place in filled:
                owners[place] = waiting.popleft()
            take(_prefill(model, prompts, owners, filled, slots), range(len(filled)), filled)
            continue
        if not waiting and len(free) >= max(1, SHARE_TO_CLOSE_UP * len(owners)):
            busy = [place for place, owner in enumerate(owners) if owner is not None]
            owners, tokens = [owners[place] for place in busy], [tokens[place] for place in busy]
            slots.keep(busy)
        busy = [place for place, owner in enumerate(owners) if owner is not None]
        logits = _decode(model, tokens, slots, head)
        slots.end_step(busy)
        take(logits, busy, busy)
    return [Response(tuple(answer.ids), answer.stopped) for answer in answers.of]


def _one_by_one(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    end_of_turn: int,
    max_new_tokens: int,
    *,
    sampling: Sampling | None,
    progress: Callable[[int], None],
) -> Iterator[Response]:
    """Answer one prompt after the other from its whole text, for models of any kind, whatever their cache is."""
    for prompt, ids in enumerate(prompts):
        answer = _Answer()
        answers = _Answers(end_of_turn, max_new_tokens, [answer])
        is_at_its_end = False
        while not is_at_its_end:
            text = torch.tensor([[*ids, *answer.ids]], device=model.device)
            with model.autocast():
                logits = model.module(text, use_cache=False).logits[:, -1]
            token = next_tokens(logits, [0], [(prompt, len(answer.ids))], sampling)[0]
            is_at_its_end = answers.add(0, token)
        progress(1)
        yield Response(tuple(answer.ids), answer.stopped)


@dataclass
class _Answer:
    ids: list[int] = field(default_factory=list)
    stopped: bool = False


@dataclass(frozen=True)
class _Answers:
    """The answers so far, and when one is at its end."""

    end_of_turn: int
    max_new_tokens: int
    of: list[_Answer]

    def add(self, prompt: int, token: int) -> bool:
        """Add a token to an answer; tell whether it ends there."""
        answer = self.of[prompt]
        if token == self.end_of_turn:
            answer.stopped = True
        else:
            answer.ids.append(token)
        return answer.stopped or len(answer.ids) == self.max_new_tokens


def _prefill(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    owners: Sequence[int | None],
    places: Sequence[int],
    slots: Slots,
) -> torch.Tensor:
    """Read the prompts of some slots; return their next-token logits, (places, vocabulary)."""
    paths = [tuple(prompts[owner]) for place in places if (owner := owners[place]) is not None]
    found: dict[int, torch.Tensor] = {}
    for run in runs_within(paths, distinct_tokens=MAX_NODES):
        logits, layers = _read(model, [paths[index] for index in run])
        slots.fill([places[index] for index in run], layers, [len(paths[index]) for index in run])
        found.update(zip(run, logits, strict=True))
    return torch.stack([found[index] for index in range(len(paths))])


@torch.no_grad()
def next_token_log_probs(model: CausalModel, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the log-probability (nats) of every token after each prompt: (prompts, vocabulary), float32."""
    model.module.eval()
    if model.is_padded:
        rows = [model.module(torch.tensor([[*ids]], device=model.device)).logits[0, -1] for ids in prompts]
        return torch.stack(rows).float().log_softmax(dim=-1)
    paths = [tuple(ids) for ids in prompts]
    found: dict[int, torch.Tensor] = {}
    for run in runs_within(paths, distinct_tokens=MAX_NODES):
        found.update(zip(run, _read(model, [paths[index] for index in run])[0], strict=True))
    return torch.stack([found[index] for index in range(len(paths))]).float().log_softmax(dim=-1)


def _read(model: CausalModel, paths: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, Layers]:
    """Return next-token logits, (paths, vocabulary), and each layer's keys and values with a row a path."""
    tree = merge_prompts(paths)
    leaves, of_row = torch.tensor([path[-1] for path in tree.paths], device=model.device).unique(
        return_inverse=True
    )
    output = run_tree(model, tree, logits_to_keep=leaves, use_cache=True)
    columns = _left_align(tree).to(model.device)
    layers = [
        (layer.keys[0][:, columns].transpose(0, 1), layer.values[0][:, columns].transpose(0, 1))
        for layer in output.past_key_values.layers
    ]
    return output.logits[0][of_row], layers


def _left_align(tree: PrefixTree) -> torch.Tensor:
    """Return the node that stands in each column of each path, (paths, width); columns after a path hold node 0."""
    nodes = torch.zeros(len(tree.paths), max(map(len, tree.paths)), dtype=torch.int64)
    for row, path in enumerate(tree.paths):
        nodes[row, : len(path)] = torch.from_numpy(path)
    return nodes


def _decode(
    model: CausalModel, tokens: Sequence[int], slots: Slots, head: GroupWeights | None
) -> torch.Tensor:
    """Append one token to each slot; return the logits of the next, (slots, vocabulary)."""
    inputs = {
        "input_ids": torch.tensor(tokens, device=model.device)[:, None],
        "position_ids": slots.lengths[:, None],
        "attention_mask": slots.begin_step()[:, None, None, :],  # (slots, 1, 1, columns)
        "past_key_values": slots,
        "use_cache": True,
    }
    with model.autocast():
        if head is None:
            return model.module(**inputs).logits[:, -1]
        return project(undressed(model.module).base_model(**inputs).last_hidden_state[:, -1], head)


def answer_texts(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    tokenizer: Any,
    end_of_turn: int,
    max_new_tokens: int,
    batch_size: int,
    sampling: Sampling | None = None,
) -> list[str]:
    """Return the answers as texts."""
    responses = generate(
        model,
        prompts,
        end_of_turn=end_of_turn,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        sampling=sampling,
    )
    return [tokenizer.decode(response.ids, skip_special_tokens=True) for response in responses]
