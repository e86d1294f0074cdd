"""Greedy answers by a model's own generate(), given nothing but the prompts and how long an answer may be."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

BATCH = 32


def generate_answers(
    module: Any, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, pads: bool
) -> list[list[int]]:
    """Return the tokens that generate() adds to each prompt, up to the first that its own settings call an end.

    `pads`: whether prompts of several lengths may be asked at once, padded on the left; what runs along a sequence, as
    a recurrent layer does, would see the padding.
    """
    settings = module.generation_config
    ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
    padding = 0 if settings.pad_token_id is None else settings.pad_token_id
    found: dict[int, list[int]] = {}
    for places in _batches(prompts, pads=pads):
        width = max(len(prompts[place]) for place in places)
        missing = [width - len(prompts[place]) for place in places]
        ids = [[padding] * gap + [*prompts[place]] for place, gap in zip(places, missing, strict=True)]
        seen = [[0] * gap + [1] * (width - gap) for gap in missing]
        with torch.no_grad():
            rows = module.generate(
                input_ids=torch.tensor(ids, device=module.device),
                attention_mask=torch.tensor(seen, device=module.device),
                max_new_tokens=max_new_tokens,
            )
        for place, row in zip(places, rows[:, width:].tolist(), strict=True):
            found[place] = up_to_end(row, ends)
    return [found[place] for place in range(len(prompts))]


def up_to_end(ids: Sequence[int], ends: Sequence[int | None]) -> list[int]:
    """Return ids up to the first that is an end, and that one; what comes after it is padding."""
    place = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return list(ids[: place + 1])


def _batches(prompts: Sequence[Sequence[int]], *, pads: bool) -> Iterator[list[int]]:
    by_length = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    alike = [by_length] if pads else [list(same) for _, same in groupby(by_length, lambda p: len(prompts[p]))]
    for places in alike:
        yield from (places[begin : begin + BATCH] for begin in range(0, len(places), BATCH))
