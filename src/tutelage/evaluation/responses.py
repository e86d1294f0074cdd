"""What a model answers to the test prompts, and how probable it finds the reference answers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tutelage.data.batches import runs_within
from tutelage.data.examples import PreparedRow
from tutelage.data.prefix_tree import merge
from tutelage.generation.generate import generate
from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.recipe import EvaluationSettings

# Begins a bar for something that a model does to so many rows, and gives the function that advances it.
Progress = Callable[[str, int], Callable[[int], None]]


def collect_responses(
    model: CausalModel,
    rows: Sequence[PreparedRow],
    settings: EvaluationSettings,
    tokenizer: Any,
    *,
    end_of_turn: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return one record a row: the greedy answer, whether it stopped by itself, and the reference's log-probability."""
    log_probs = reference_log_probs(model, rows, progress=progress("reads the references", len(rows)))
    responses = generate(
        model,
        [row.example.prompt_ids for row in rows],
        end_of_turn=end_of_turn,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        progress=progress("answers", len(rows)),
    )
    return [
        {
            "row": row.example.row,
            "prompt": row.prompt,
            "reference": row.response,
            # The answer is what was generated after the prompt's tokens; no text is searched for it.
            "response": tokenizer.decode(response.ids, skip_special_tokens=True),
            "response_tokens": len(response.ids),
            "stopped": response.stopped,
            "reference_log_prob": log_prob,
            "reference_bytes": len(row.response.encode()) + 1,  # the end of turn counts as one byte
        }
        for row, response, log_prob in zip(rows, responses, log_probs, strict=True)
    ]


@torch.no_grad()
def reference_log_probs(
    model: CausalModel, rows: Sequence[PreparedRow], *, progress: Callable[[int], None] = lambda rows: None
) -> list[float]:
    """Return the log-probability (nats) of each reference answer with its end of turn."""
    model.module.eval()
    sums = [0.0] * len(rows)
    examples = [row.example.with_response_supervised() for row in rows]
    paths = [example.ids[:-1] for example in examples]
    for run in runs_within(paths, distinct_tokens=MAX_NODES, padded=model.is_padded):
        tree = merge([examples[index] for index in run])
        log_probs = target_log_probs(model, tree).double().cpu()  # (targets,)
        totals = torch.zeros(len(run), dtype=torch.float64)
        totals.index_add_(0, torch.from_numpy(tree.target_examples), log_probs)
        for index, total in zip(run, totals.tolist(), strict=True):
            sums[index] = total
        progress(len(run))
    return sums
