"""Whether tuning cost the model its grasp of text in general: bits per byte of passages that no data set here holds.

Beside it, how far what it expects of general prompts has moved from its base, read as plain text: in the frame of the
run's own prompts most of what moves is the style that was trained. Nothing is claimed to be kept unless the whole
interval lies below the margin: that nothing was seen is not that nothing is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from tutelage.config.recipe import PromptStyle
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.evaluation.answers.responses import Progress, reference_log_probs
from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS_PER_BYTE
from tutelage.evaluation.metrics.bits_per_byte import bits_per_byte
from tutelage.evaluation.paired.verdict import format_change, format_value
from tutelage.evaluation.stats.intervals import Interval, t_interval
from tutelage.evaluation.stats.sampling import spread
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.model.forward import MAX_NODES, CausalModel, run_tree
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.short_memory import in_parts
from tutelage.tree.batches import runs_within
from tutelage.tree.examples import Example, PreparedRow
from tutelage.tree.prefix_tree import merge_prompts

PASSAGE_BYTES = 400
# With fewer passages nothing is claimed, so a limit on the test rows leaves this many passages and prompts.
FEWEST_PASSAGES = 30
# So many of the last tokens of each general prompt are compared; all of them would take gigabytes.
TOKENS_COMPARED = 2

Item = TypeVar("Item")
CheckResult = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Passage:
    """A few paragraphs of one kind of text; all their tokens are predicted from what stands before them."""

    kind: str
    row: PreparedRow


@dataclass(frozen=True)
class Reading:
    """What one model makes of the passages, bits per byte (passages,), and of the general prompts.

    Of each prompt it is what stands next after each of some beginnings: (prompts * TOKENS_COMPARED, vocabulary).
    """

    bits_per_byte: np.ndarray
    next_log_probs: torch.Tensor


def some_of(texts: Sequence[Item], limit: int | None) -> list[Item]:
    """Return the texts that an evaluation of at most `limit` test rows reads, evenly spaced; None: all of them."""
    most = len(texts) if limit is None else max(limit, FEWEST_PASSAGES)
    return [texts[place] for place in spread(len(texts), most)]


def general_passages() -> list[tuple[str, str]]:
    """Return the shipped passages, each with its kind."""
    return [(kind, text) for kind, whole in general_texts().items() for text in cut(whole)]


def read_passages(folder: Path, prompt: PromptStyle, limit: int | None = None) -> list[Passage]:
    """Return passages of the general text that ships with the package, as tokens of the model in `folder`.

    Passages that are longer than its context are left out. For `limit`, see `some_of`.
    """
    renderer = make_renderer(load_tokenizer(folder), prompt)
    texts = general_passages()
    conversations = [
        Conversation(index, (ChatMessage("assistant", text),), format="text")
        for index, (_, text) in enumerate(texts)
    ]
    examples = renderer.examples(conversations, train_on="last")
    context = context_length(folder)
    fitting = [
        Passage(kind, PreparedRow("", text, _without_end(example)))
        for (kind, text), example in zip(texts, examples, strict=True)
        if len(example.ids) <= context
    ]
    return some_of(fitting, limit)


def general_texts() -> dict[str, str]:
    """Return the shipped texts by their kind."""
    files = resources.files("tutelage.evaluation.regression.general_text").iterdir()
    return {
        file.name.removesuffix(".txt"): file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".txt")
    }


def general_prompts() -> list[str]:
    """Return the shipped requests, of many kinds and in two languages."""
    file = resources.files("tutelage.evaluation.regression.general_prompts").joinpath("prompts.txt")
    return file.read_text(encoding="utf-8").splitlines()


def read_general_prompts(folder: Path, limit: int | None = None) -> list[tuple[int, ...]]:
    """Return beginnings of the general prompts as tokens of the model in `folder`, TOKENS_COMPARED of each prompt.

    For `limit`, see `some_of`.
    """
    tokenizer = load_tokenizer(folder)
    context = context_length(folder)
    prompts = [tuple(tokenizer(text)["input_ids"])[:context] for text in some_of(general_prompts(), limit)]
    return [ids[: len(ids) - back] for ids in prompts for back in range(TOKENS_COMPARED, 0, -1)]


def cut(text: str) -> list[str]:
    """Join paragraphs, in order, to passages of at least PASSAGE_BYTES; the last takes what is left."""
    passages: list[str] = []
    begun = ""
    for paragraph in text.strip().split("\n\n"):
        begun += ("\n\n" if begun else "") + paragraph
        if len(begun.encode()) >= PASSAGE_BYTES:
            passages.append(begun)
            begun = ""
    if begun:
        passages[-1:] = ["\n\n".join([*passages[-1:], begun])]
    return passages


def _without_end(example: Example) -> Example:
    """Leave out the end of turn: a passage is a piece of a text, and nothing ends there."""
    tokens = len(example.ids) - 1
    return Example(example.row, example.ids[:-1], example.prompt_tokens, tokens - example.prompt_tokens)


def read_general(
    model: CausalModel,
    passages: Sequence[Passage],
    prompts: Sequence[tuple[int, ...]],
    *,
    progress: Progress,
) -> Reading:
    """Let a model read every passage, and every beginning of a general prompt."""
    rows = [passage.row for passage in passages]
    log_probs = reference_log_probs(model, rows, progress=progress("scores general text", len(rows)))
    bits = [
        bits_per_byte(log_prob, len(row.response.encode()))
        for log_prob, row in zip(log_probs, rows, strict=True)
    ]
    return Reading(np.array(bits), next_log_probs(model, prompts))


@torch.no_grad()
def next_log_probs(model: CausalModel, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the log-probabilities (nats) of every token after each prompt: (prompts, vocabulary) in float32."""
    model.module.eval()
    found: dict[int, torch.Tensor] = {}
    if model.fallback_reason is not None:
        for index, prompt in enumerate(prompts):
            with model.autocast():
                logits = model.module(torch.tensor([prompt], device=model.device), use_cache=False).logits
            found[index] = logits[0, -1]
    else:

        def read(run: Sequence[int]) -> None:
            tree = merge_prompts([prompts[index] for index in run])
            ends = torch.tensor([path[-1] for path in tree.paths], device=model.device)
            logits = run_tree(model, tree, logits_to_keep=ends, use_cache=False).logits[0]
            found.update(zip(run, logits, strict=True))

        for run in runs_within([tuple(ids) for ids in prompts], distinct_tokens=MAX_NODES):
            in_parts(run, read)
    stacked = torch.stack([found[index] for index in range(len(prompts))])
    return stacked.float().log_softmax(dim=-1).cpu()


def compare_general_text(
    passages: Sequence[Passage], base: Reading, tuned: Reading, *, margin: float, kl_margin: float
) -> dict[str, Any] | None:
    """Return what metrics.json says: bits per byte in all and by kind, the divergence, and whether they stayed within.

    `margin` is the largest rise in bits per byte that still counts as no regression, and `kl_margin` the largest
    divergence in nats of a token. None where the model's context is too short for all but a few passages.
    """
    if len(passages) < FEWEST_PASSAGES:
        return None
    one = paired_difference(base.bits_per_byte, tuned.bits_per_byte)
    assert one.base is not None and one.tuned is not None and one.difference is not None
    # A model that is its base to the last digit has no spread, and has lost nothing.
    low, high = (one.low, one.high) if one.low is not None and one.high is not None else (one.difference,) * 2
    verdict: CheckResult = "pass" if high < margin else "fail" if low > margin else "inconclusive"
    divergence = (
        kl_divergence(base.next_log_probs, tuned.next_log_probs).reshape(-1, TOKENS_COMPARED).mean(axis=1)
    )
    kl_low, kl_high = t_interval(divergence, np.arange(len(divergence)))
    kl = (float(divergence.mean()), kl_low, kl_high)
    moved: CheckResult = "pass" if kl_high < kl_margin else "fail" if kl_low > kl_margin else "inconclusive"
    return {
        "verdict": verdict,
        "sentence": _sentence(verdict, (one.base, one.tuned), (low, high), margin),
        "margin": margin,
        "passages": len(passages),
        "bytes": sum(len(passage.row.response.encode()) for passage in passages),
        "base": one.base,
        "tuned": one.tuned,
        "difference": one.difference,
        "low": low,
        "high": high,
        "prompts": len(divergence),
        "kl": kl[0],
        "kl_low": kl_low,
        "kl_high": kl_high,
        "kl_margin": kl_margin,
        "kl_verdict": moved,
        "kl_sentence": _kl_sentence(moved, len(divergence), kl, kl_margin),
        "kinds": _by_kind(passages, base, tuned),
    }


def passage_rows(passages: Sequence[Passage], base: Reading, tuned: Reading) -> list[dict[str, Any]]:
    """Return a line for each passage as passages.jsonl has it; another release may ship another text as its number."""
    return [
        {
            "passage": passage.row.example.row,
            "kind": passage.kind,
            "sha256": hashlib.sha256(passage.row.response.encode()).hexdigest(),
            "base": float(before),
            "tuned": float(after),
        }
        for passage, before, after in zip(passages, base.bits_per_byte, tuned.bits_per_byte, strict=True)
    ]


def kl_divergence(base: torch.Tensor, tuned: torch.Tensor) -> np.ndarray:
    """Return KL(base || tuned) in nats of each row of log-probabilities: (prompts,)."""
    return (base.double().exp() * (base.double() - tuned.double())).sum(dim=-1).numpy()


def _sentence(verdict: CheckResult, means: Interval, interval: Interval, margin: float) -> str:
    metric = BITS_PER_BYTE
    before, after = (format_value(mean, metric) for mean in means)
    low, high = (format_change(end, metric) for end in interval)
    told_change = f"from {before} to {after} bits per byte, 95 % interval of the change {low} to {high}"
    return {
        "pass": f"No regression on general text: {told_change}, entirely below the margin of {margin:g}.",
        "fail": f"Regression on general text: {told_change}, entirely above the margin of {margin:g}.",
        "inconclusive": f"Regression on general text not ruled out: {told_change}; the margin is {margin:g}.",
    }[verdict]


def _kl_sentence(verdict: CheckResult, prompts: int, kl: tuple[float, float, float], margin: float) -> str:
    told = f"{kl[0]:.3f} nats per token (KL divergence, 95 % interval {kl[1]:.3f} to {kl[2]:.3f})"
    return {
        "pass": (
            f"On {prompts} general prompts, its predictions stay within {told} of the base model; the margin"
            f" is {margin:g}."
        ),
        "fail": (
            f"On {prompts} general prompts, its predictions are {told} away from the base model, above the"
            f" margin of {margin:g}."
        ),
        "inconclusive": (
            f"On {prompts} general prompts, its predictions are {told} away from the base model; the"
            f" interval includes the margin of {margin:g}."
        ),
    }[verdict]


def _by_kind(passages: Sequence[Passage], base: Reading, tuned: Reading) -> dict[str, dict[str, float]]:
    kinds = np.array([passage.kind for passage in passages])
    return {
        str(kind): {
            "base": float(base.bits_per_byte[kinds == kind].mean()),
            "tuned": float(tuned.bits_per_byte[kinds == kind].mean()),
        }
        for kind in dict.fromkeys(kinds.tolist())
    }
