"""Generate answers to many prompts: shared prefixes are computed once, and finished answers make room for
waiting ones.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.generation.continuous_batch import make_batch
from tutelage.generation.sampling import Sampling, next_tokens
from tutelage.model.forward import CausalModel
from tutelage.model.short_memory import in_smaller_batches

# A prefill costs as much as a few decoding steps, so it waits until this share of the batch is free.
SHARE_TO_REFILL = 0.25


@dataclass(frozen=True)
class Response:
    """ids: the generated tokens without the end token; end: the end token, None if the answer hit the length
    limit.
    """

    ids: tuple[int, ...]
    end: int | None

    @property
    def stopped(self) -> bool:
        """Whether the model ended the answer itself."""
        return self.end is not None


def generate(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    end_tokens: Collection[int],
    max_new_tokens: int,
    batch_size: int,
    sampling: Sampling | None = None,
    progress: Callable[[int], None] = lambda answered: None,
) -> list[Response]:
    """Return a response to each prompt, in the given order; `progress` is called with the number of newly
    finished answers.

    An answer ends at the first of the end tokens. Without `sampling`, decoding is greedy. If a batch does not
    fit in memory, all prompts are answered again with half the batch size.
    """
    told = 0

    def advance(answered: int) -> None:
        nonlocal told
        if answered > told:
            progress(answered - told)
            told = answered

    def work(size: int) -> list[Response]:
        return _generate(
            model,
            prompts,
            end_tokens=end_tokens,
            max_new_tokens=max_new_tokens,
            batch_size=size,
            sampling=sampling,
            told=advance,
        )

    return in_smaller_batches(work, max(1, min(batch_size, len(prompts))), what="one answer and its prompt")


def _generate(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    end_tokens: Collection[int],
    max_new_tokens: int,
    batch_size: int,
    sampling: Sampling | None,
    told: Callable[[int], None],
) -> list[Response]:
    """Run `generate` with a fixed batch size; `told` is called with the number of finished answers."""
    finished = 0
    answers = _Answers(end_tokens, max_new_tokens, [_Answer() for _ in prompts])
    batch = make_batch(model, size=min(batch_size, len(prompts)), share_to_refill=SHARE_TO_REFILL)
    # Sorted, so that prompts that are read together share prefixes.
    for prompt in sorted(range(len(prompts)), key=lambda index: tuple(prompts[index])):
        batch.ask(prompt, prompts[prompt])
    while batch.is_busy:
        following = batch.step()
        places = [(prompt, len(answers.of[prompt].ids)) for prompt in following.keys]
        chosen = next_tokens(following.logits, following.rows, places, sampling)
        ended = 0
        for prompt, token in zip(following.keys, chosen, strict=True):
            if answers.add(prompt, token):
                batch.end(prompt)
                ended += 1
            else:
                batch.give(prompt, token)
        if ended:
            finished += ended
            told(finished)
    return [Response(tuple(answer.ids), answer.end) for answer in answers.of]


@dataclass
class _Answer:
    ids: list[int] = field(default_factory=list)
    end: int | None = None


@dataclass(frozen=True)
class _Answers:
    """The answers so far, and the rule for when they end."""

    end_tokens: Collection[int]
    max_new_tokens: int
    of: list[_Answer]

    def add(self, prompt: int, token: int) -> bool:
        """Add a token to an answer; return whether the answer has ended."""
        answer = self.of[prompt]
        if token in self.end_tokens:
            answer.end = token
        else:
            answer.ids.append(token)
        return answer.end is not None or len(answer.ids) == self.max_new_tokens


def answer_texts(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    tokenizer: Any,
    end_tokens: Collection[int],
    max_new_tokens: int,
    batch_size: int,
    sampling: Sampling | None = None,
) -> list[str]:
    """Return the decoded answers."""
    responses = generate(
        model,
        prompts,
        end_tokens=end_tokens,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        sampling=sampling,
    )
    return [tokenizer.decode(response.ids, skip_special_tokens=True) for response in responses]
