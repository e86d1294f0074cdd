"""Holds an export against the run's own model: token ids, chat template, greedy answers and log-probabilities.

The run's model answers in this process, in float32; the export in a fresh one, which has nothing but its files.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.errors import ExportError
from tutelage.evaluation.regression.general_text_check import next_log_probs
from tutelage.export.chinese_prompts import chinese_prompts
from tutelage.export.reload import Behaviour, Job, first_difference
from tutelage.export.style import Style
from tutelage.generation.generate import generate
from tutelage.model.forward import CausalModel
from tutelage.system.child_process import raise_if_out_of_memory
from tutelage.tree.examples import PreparedRow

ROW_PROMPTS = 100  # with as many Chinese ones beside them
ANSWER_TOKENS = 32
CONTEXTS = 24  # whole distributions are compared after so many texts

TIE_NATS = 0.01  # two tokens so near each other may change places in half precision
HALF_PRECISION_SHARE = 0.99
# Nats; what computing in half precision adds to rounded weights stays well below.
LARGEST_KL_OF_ROUNDED = 5e-5
LARGEST_KL_Q8_0 = 0.01
KL_TO_WARN_OF = 0.1
LIKELY_TOKENS = 100  # the largest difference is looked for among so many; the others are never drawn


@dataclass(frozen=True)
class Reference:
    """What the run's own model does, and what it was asked; margins: of the best two tokens after each context."""

    model: CausalModel
    job: Job
    behaviour: Behaviour
    left_out: int  # prompts that cannot be compared


@dataclass(frozen=True)
class ExportComparison:
    """What one export does beside the run's model; `mismatch` says why it is not the model that was trained."""

    prompts: int
    left_out: int  # any program that reads one text cuts them otherwise, so they cannot be compared
    ids_equal: int
    templates_equal: bool | None  # None where there is none
    answers_equal: int
    same_tokens: float  # share of the tokens of the run's answers, each chosen after those before it
    largest_log_prob_difference: float  # nats
    mean_kl: float  # nats
    mismatch: str | None
    evidence: list[dict[str, Any]]

    @property
    def is_coarse(self) -> bool:
        return self.mean_kl > KL_TO_WARN_OF


def ask_reference(
    held_out: Iterable[PreparedRow],
    model: CausalModel,
    style: Style,
    ends: Collection[int],
    *,
    room: int,
    vocabulary: int,
) -> Reference:
    """Let the run's own model answer the prompts of held-out rows and the Chinese ones; `room` is its context.

    An answer ends at any of `ends`.
    """
    rows = (list(row.example.prompt_ids) for row in held_out)
    tokenizer = style.tokenizer
    chosen = list(islice((ids for ids in rows if len(ids) + ANSWER_TOKENS + 8 <= room), ROW_PROMPTS))
    texts = [tokenizer.decode(ids, skip_special_tokens=False) for ids in chosen]
    prompts = [
        (text, ids)
        for text, ids in zip(texts, chosen, strict=True)
        if tokenizer.encode(text, add_special_tokens=False) == ids
    ]
    questions = [single_exchange_of(0, text, "", "") for text in chinese_prompts()]
    for question in questions:
        prompts.append((style.renderer.prompt_text(question), style.renderer.prompt_ids(question)))
    prompts = [prompt for prompt in prompts if len(prompt[1]) + ANSWER_TOKENS + 8 <= room]
    conversations = [*questions, _follow_up()]
    ids = [ids for _, ids in prompts]
    answers, bare = _answers(model, ids, ends)
    job = Job(
        kind="",
        path="",
        base="",
        fallback_reason=model.fallback_reason,
        texts=[text for text, _ in prompts],
        conversations=[_messages(conversation) for conversation in conversations],
        prompts=ids,
        answers=answers,
        contexts=_contexts(ids, bare),
        max_new_tokens=ANSWER_TOKENS,
        vocabulary=vocabulary,
        shown_token=tokenizer.encode("a", add_special_tokens=False)[-1],
    )
    behaviour = Behaviour(
        ids,
        [style.renderer.prompt_text(conversation) for conversation in conversations],
        answers,
        1.0,
        next_log_probs(model, job.contexts).numpy(),
    )
    return Reference(model, job, behaviour, len(chosen) + len(questions) - len(prompts))


def _answers(
    model: CausalModel, prompts: list[list[int]], ends: Collection[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """Return greedy answers, each with the end token that ended it, and without."""
    found = generate(model, prompts, end_tokens=ends, max_new_tokens=ANSWER_TOKENS, batch_size=64)
    whole = [[*answer.ids, *([] if answer.end is None else [answer.end])] for answer in found]
    return whole, [list(answer.ids) for answer in found]


def _follow_up() -> Conversation:
    said = (("user", "Name a fruit."), ("assistant", "An apple."), ("user", "再说一个。"), ("assistant", ""))
    return Conversation(0, tuple(ChatMessage(role, text) for role, text in said))  # type: ignore[arg-type]


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in conversation.context]


def _contexts(prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> list[list[int]]:
    """Return prompts with the beginnings of their answers, cut at places that differ from one to the next."""
    step = max(1, len(prompts) // CONTEXTS)
    picked = range(0, len(prompts), step)
    return [prompts[at] + answers[at][: number % (len(answers[at]) + 1)] for number, at in enumerate(picked)]


def compare(
    reference: Reference,
    kind: str,
    path: Path,
    *,
    base: Path,
    precision: str,
    rounded: Callable[[], CausalModel] | None = None,
) -> ExportComparison:
    """Ask an export the same in a fresh process; `precision` (f32, f16, q8_0 …) says how near it has to come.

    `rounded` gives the run's model with its weights in that precision, computed with in float32.
    """
    found = _ask_in_a_fresh_process(reference.job, kind, path, base)
    return judge(reference, found, precision, rounded=rounded)


def _ask_in_a_fresh_process(job: Job, kind: str, path: Path, base: Path) -> Behaviour:
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "job.json"
        replace(job, kind=kind, path=str(path), base=str(base)).write(told)
        reload("tutelage.export.reload", told)
        return Behaviour.read(told.parent)


def reload(module: str, job: Path) -> None:
    """Run a module in a fresh process on a job; ExportError where it fails."""
    # -P keeps a file in the current folder from being taken for one of the packages.
    command = [sys.executable, "-P", "-m", module, str(job), str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise_if_out_of_memory(done.returncode, done.stderr)
        last = (done.stderr.strip().splitlines() or [f"it exited with code {done.returncode}"])[-1]
        raise ExportError(
            "export.cannot_be_loaded",
            f"The export could not be loaded again, so it was not published: {last[:300]}. The runtime may"
            " not support this architecture; try another --to.",
        )


def judge(
    reference: Reference,
    found: Behaviour,
    precision: str,
    *,
    rounded: Callable[[], CausalModel] | None = None,
) -> ExportComparison:
    """Compare two behaviours under the rule of a precision; `rounded` is asked where half precision breaks its own."""
    own, job = reference.behaviour, reference.job
    different_ids = _different(own.ids, found.ids)
    different_texts = _different(own.rendered, found.rendered)
    different_answers = _different(own.answers, found.answers)
    margins = _margins(reference, found, different_answers)
    kl, largest = divergence(own.log_probs, found.log_probs)
    evidence: list[dict[str, Any]] = [
        *({"what": "token ids", "prompt": job.texts[at], "export": found.ids[at]} for at in different_ids),
        *(
            {"what": "template", "run": own.rendered[at], "export": found.rendered[at]}
            for at in different_texts
        ),
        *(
            {
                "what": "answer",
                "prompt": job.texts[at],
                "run": own.answers[at],
                "export": found.answers[at],
                "nats_between_the_best_two": margin,
            }
            for at, margin in zip(different_answers, margins, strict=True)
        ),
    ]
    equal = len(job.prompts) - len(different_answers)
    mismatch = None
    if not job.prompts:
        mismatch = f"none of {reference.left_out} prompts could be compared"
    elif different_ids:
        mismatch = f"{len(different_ids)} of {len(job.texts)} prompts get different token ids"
    elif different_texts:
        mismatch = (
            f"the chat template renders {len(different_texts)} of {len(own.rendered)} conversations"
            " differently"
        )
    elif not np.isfinite(kl):
        mismatch = "its log-probabilities are not finite"
    elif precision in ("f32", "f16"):
        mismatch = _beyond_the_rule(equal, len(job.prompts), margins, is_half=precision == "f16")
        if mismatch and rounded and precision == "f16":
            mismatch = _beyond_rounding(reference, found, different_answers, rounded())
    elif precision == "q8_0" and kl > LARGEST_KL_Q8_0:
        mismatch = f"its mean KL divergence is {kl:.4f} nats, more than {LARGEST_KL_Q8_0}"
    return ExportComparison(
        len(job.prompts),
        reference.left_out,
        len(job.texts) - len(different_ids),
        not different_texts,
        equal,
        found.same_tokens,
        largest,
        kl,
        mismatch,
        evidence[:20],
    )


def _different(own: Sequence[Any], found: Sequence[Any]) -> list[int]:
    return [at for at, (one, other) in enumerate(zip(own, found, strict=True)) if one != other]


def _beyond_the_rule(equal: int, prompts: int, margins: Sequence[float], *, is_half: bool) -> str | None:
    """Say how answers break the rule of float32, or that of half precision: of a hundred, one at a tie."""
    told = f"only {equal} of {prompts} greedy answers match the run's"
    if not is_half:
        return told if equal < prompts else None
    if equal < HALF_PRECISION_SHARE * prompts:
        return told
    if max(margins, default=0.0) > TIE_NATS:
        return f"{told}, and one differs where the best two tokens are {max(margins):.3f} nats apart"
    return None


def _beyond_rounding(
    reference: Reference, found: Behaviour, different: Sequence[int], rounded: CausalModel
) -> str | None:
    """Say how an export in half precision differs from the run's model with its weights rounded to that.

    Rounding itself can change answers that are near to a tie; then the file is right, and a finer one is advised.
    """
    after = next_log_probs(rounded, reference.job.contexts).numpy()
    kl, _ = divergence(after, found.log_probs)
    if kl > LARGEST_KL_OF_ROUNDED:
        return f"its mean KL divergence from the run's model in half precision is {kl:.1e} nats"
    contexts, chosen = _where_they_part(reference, found, different)
    scores = next_log_probs(rounded, contexts)  # (different, vocabulary)
    lost = (scores.max(dim=1).values - scores[range(len(chosen)), chosen]).tolist()
    if max(lost) > TIE_NATS:
        return (
            f"an answer has a token that is {max(lost):.3f} nats less likely in half precision than the best"
            " token"
        )
    return None


def _margins(reference: Reference, found: Behaviour, different: Sequence[int]) -> list[float]:
    """Return by how much (nats) the run's model prefers its token where an answer first differs."""
    if not different:
        return []
    contexts, _ = _where_they_part(reference, found, different)
    best = next_log_probs(reference.model, contexts).topk(2).values  # (different, 2)
    return (best[:, 0] - best[:, 1]).tolist()


def _where_they_part(
    reference: Reference, found: Behaviour, different: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """Return the texts up to where answers first differ, and the token that the export chose after each.

    Where the export's answer was cut there, it is the run's own: no token of the export is known.
    """
    contexts, chosen = [], []
    for at in different:
        own, other = reference.behaviour.answers[at], found.answers[at]
        place = first_difference(own, other)
        contexts.append(reference.job.prompts[at] + own[:place])
        chosen.append((other if place < len(other) else own)[place])
    return contexts, chosen


def divergence(own: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Return the mean KL divergence of rows of log-probabilities, and their largest difference at likely tokens."""
    own, found = own.astype(np.float64), found.astype(np.float64)
    own, found = (rows - np.log(np.exp(rows).sum(axis=1, keepdims=True)) for rows in (own, found))
    kl = (np.exp(own) * (own - found)).sum(axis=1)
    likely = np.argsort(own, axis=1)[:, -LIKELY_TOKENS:]
    apart = np.abs(np.take_along_axis(own, likely, 1) - np.take_along_axis(found, likely, 1))
    return float(kl.mean()), float(apart.max())
