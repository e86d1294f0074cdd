"""From hidden states to the log-probabilities of chosen tokens, without holding what is not needed."""

from typing import Any

import torch
from torch.nn.functional import linear

# Rows of logits made at a time: enough to keep the products busy, few enough never to matter for the memory.
HEAD_ROWS = 128
# A CPU makes the kernel of a product anew for every number of rows, so chunks are filled up to few sizes.
ROWS_MULTIPLE = 32


def log_probs_of(
    logits: torch.Tensor, ids: torch.Tensor, is_correct: torch.Tensor | None = None
) -> torch.Tensor:
    """Return log softmax(logits) at one id a row: (rows, vocabulary) and (rows,) to (rows,), at least float32.

    If given, `is_correct`, (rows,) bool, is set to whether each id is the argmax: of equal logits, the first.
    """
    return _LogProbs.apply(logits, ids, is_correct)


def label_set_log_probs(logits: torch.Tensor, is_member: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of a set of labels a row, each in it or not by itself: (rows, labels) to (rows,).

    The negative of it is the binary cross entropy, summed over the labels.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    return torch.nn.functional.logsigmoid(torch.where(is_member, logits, -logits)).sum(dim=-1)


def frozen_head_log_probs(
    hidden: torch.Tensor, head: torch.nn.Linear, ids: torch.Tensor, is_correct: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the same from hidden states (rows, hidden) and a head that is not trained."""
    return _FrozenHead.apply(hidden, head.weight, head.bias, ids, is_correct)


def find_frozen_head(module: Any) -> torch.nn.Linear | None:
    """Return the head of a model if it is frozen and its product with the body's output is all there is to logits.

    Families that scale or cap their logits, and heads with an adapter, are found out on two tokens.
    """
    head = module.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.weight.requires_grad:
        return None
    ids = torch.tensor([[0, 1]], device=head.weight.device)
    seen = torch.ones(1, 1, 2, 2, dtype=torch.bool, device=ids.device).tril()
    with torch.no_grad():
        hidden = module.base_model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
        logits = module(input_ids=ids, attention_mask=seen, use_cache=False).logits
        return head if torch.allclose(head(hidden), logits, rtol=1e-3, atol=1e-3) else None


class _LogProbs(torch.autograd.Function):
    """One pass over the vocabulary each way, where torch's own composition takes several."""

    @staticmethod
    def forward(
        context: Any, logits: torch.Tensor, ids: torch.Tensor, is_correct: torch.Tensor | None
    ) -> torch.Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        log_probs = logits.log_softmax(dim=-1, dtype=wide)
        if is_correct is not None:
            is_correct[:] = _is_argmax(log_probs, ids)
        context.save_for_backward(log_probs, ids)
        context.logits_dtype = logits.dtype
        return log_probs.gather(1, ids[:, None])[:, 0]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        log_probs, ids = context.saved_tensors
        # Of log softmax: (one-hot - p) * g. The saved tensor is ours alone, so it may be written over.
        slope = _gradient(log_probs.exp_(), ids).mul_(gradient[:, None])
        return slope.to(context.logits_dtype), None, None


class _FrozenHead(torch.autograd.Function):
    """Head, softmax and the slope towards the hidden states in one pass over chunks of rows.

    The slope of one log-probability, (one-hot - p) W, does not depend on what is done with it later, so it is made
    while the chunk's logits are at hand, and nothing of the size of the vocabulary outlives its chunk.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - `apply` takes no keywords
        context: Any,
        hidden: torch.Tensor,  # (rows, hidden)
        weight: torch.Tensor,  # (vocabulary, hidden)
        bias: torch.Tensor | None,
        ids: torch.Tensor,  # (rows,)
        is_correct: torch.Tensor | None,  # (rows,)
    ) -> torch.Tensor:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        log_probs = hidden.new_empty(len(ids), dtype=wide)
        slopes = torch.empty_like(hidden) if context.needs_input_grad[0] else None
        for begin in range(0, len(ids), HEAD_ROWS):
            rows = slice(begin, begin + HEAD_ROWS)
            chunk = hidden[rows]
            logits = linear(_filled(chunk), weight, bias)
            all_log_probs = logits[: len(chunk)].log_softmax(dim=-1, dtype=wide)
            log_probs[rows] = all_log_probs.gather(1, ids[rows, None])[:, 0]
            if is_correct is not None:
                is_correct[rows] = _is_argmax(all_log_probs, ids[rows])
            if slopes is not None:
                logits[: len(chunk)] = _gradient(all_log_probs.exp_(), ids[rows])
                slopes[rows] = (logits @ weight)[: len(chunk)]
        context.save_for_backward(slopes)
        return log_probs

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        (slopes,) = context.saved_tensors
        return slopes * gradient[:, None].to(slopes.dtype), None, None, None, None


def _is_argmax(log_probs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Tell which ids are the argmax of their row: (rows, vocabulary) and (rows,) to (rows,).

    It reads log-probabilities, not logits: on a CPU an argmax over bfloat16 takes four times as long.
    """
    return log_probs.argmax(dim=-1) == ids


def _filled(rows: torch.Tensor) -> torch.Tensor:
    """Add rows of zeros up to the next multiple of ROWS_MULTIPLE; what becomes of them is not read."""
    return torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % ROWS_MULTIPLE))


def _gradient(probabilities: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Turn p into one-hot - p, in place: (rows, vocabulary)."""
    slope = probabilities.neg_()
    slope[torch.arange(len(ids), device=ids.device), ids] += 1
    return slope
