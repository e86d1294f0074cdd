"""What an evaluation has ahead of it, as far as that can be known before the model is trained.

Judges are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.evaluation.answers.answers_so_far import PARTS_OF_A_BATCH
from tutelage.evaluation.baselines.strongest import MOST_BESIDE, MOST_TO_CHOOSE
from tutelage.evaluation.eval_sets.sets import EvalSet
from tutelage.evaluation.regression.general_text_check import (
    TOKENS_COMPARED,
    general_passages,
    general_prompts,
    some_of,
)
from tutelage.evaluation.stats.sampling import spread
from tutelage.generation.pace import decoding_steps
from tutelage.model.forward import MAX_NODES
from tutelage.training.work import Work, count_computed, decoding_work, reading_work, untuned_lengths
from tutelage.tree.batches import runs_within
from tutelage.tree.examples import Example

ROWS_LOOKED_AT = 1024
# On one core of an Intel Xeon of 2023: opening both models, for each weight of one; tokenizers and statistics; and the
# page with its charts, and what is to be typed next.
OPENING_SECONDS, TEXTS_SECONDS, REPORT_SECONDS = 3e-8, 4.0, 5.0
# Of the tokens of the nearest examples, so many are in no earlier prompt; measured on the starter rows.
DISTINCT_SHARE = 0.8
# Of a fine-tuned model's answers so many do not end by themselves.
ENDLESS_SHARE = 0.01


def opening_work(weights: int) -> Work:
    """Return the work of every evaluation beside what its models do; `weights` are those of one of both models."""
    return Work(seconds=OPENING_SECONDS * weights + TEXTS_SECONDS)


@dataclass(frozen=True)
class EvaluationAhead:
    """What is evaluated once a model is trained: test rows, whose number the recipe may limit, and named sets."""

    recipe: Recipe
    rows: PreparedRows
    sets: Sequence[EvalSet]
    validation: PreparedRows
    tokenizer: Any
    is_padded: bool

    @property
    def test_rows(self) -> PreparedRows:
        """Those of the test rows that are evaluated."""
        return self.rows[: self.recipe.evaluation.limit]


def answers_work(ahead: EvaluationAhead, *, keeps_lengths: bool = False) -> Work:
    """Return the work of both models on the test rows and on what is read beside them.

    The fine-tuned model's answers are as long as the references, or if it `keeps_lengths` as long as its base's.
    """
    work, settings, is_padded = Work(), ahead.recipe.evaluation, ahead.is_padded
    for knows_lengths in (False, not keeps_lengths):
        for one in ahead.sets:
            work += _set_work(one, settings, knows_lengths=knows_lengths, is_padded=is_padded)
        work += _rows_work(
            ahead.test_rows.examples, settings, knows_lengths=knows_lengths, is_padded=is_padded
        )
        if settings.general_text:
            work += _general_work(ahead.tokenizer, settings.limit)
    return work


def _rows_work(
    examples: Sequence[Example], settings: EvaluationSettings, *, knows_lengths: bool, is_padded: bool
) -> Work:
    """Return the work on test rows, which are read and answered part by part; of very many some are looked at."""
    work, size = Work(), PARTS_OF_A_BATCH * settings.batch_size
    looked_at = examples[: max(size, ROWS_LOOKED_AT // size * size)]
    for begin in range(0, len(looked_at), size):
        part = looked_at[begin : begin + size]
        work += answering_work(part, settings, knows_lengths=knows_lengths, is_padded=is_padded)
    return work.times(len(examples) / max(1, len(looked_at)))


def _set_work(one: EvalSet, settings: EvaluationSettings, *, knows_lengths: bool, is_padded: bool) -> Work:
    """Return the work on a named set, whose rows are answered, or whose choices are read."""
    if one.choices is not None:
        choices = [choice.example for choices in one.choices for choice in choices]
        return reading_work(scored(choices), is_padded=is_padded)
    examples = [row.example for row in one.rows]
    return answering_work(examples, settings, knows_lengths=knows_lengths, is_padded=is_padded)


def answering_work(
    examples: Sequence[Example], settings: EvaluationSettings, *, knows_lengths: bool, is_padded: bool
) -> Work:
    """Return the work of reading the references of some rows and of answering their prompts together.

    Where nothing is known of the lengths of the answers they are those of an untuned model.
    """
    longest = settings.max_new_tokens
    ordered = sorted(examples, key=lambda example: example.prompt_ids)  # as they are asked
    lengths = (
        tuned_lengths([len(example.response_ids) for example in ordered], longest=longest)
        if knows_lengths
        else untuned_lengths(len(ordered), longest=longest)
    )
    prompts = [example.prompt_ids for example in ordered]
    reading = reading_work(scored(examples), is_padded=is_padded)
    return reading + _generating_work(prompts, lengths, settings, is_padded=is_padded)


def _generating_work(
    prompts: Sequence[tuple[int, ...]],
    lengths: Sequence[int],
    settings: EvaluationSettings,
    *,
    is_padded: bool,
) -> Work:
    """Return the work of reading prompts, in the order in which they are asked, and writing answers of such lengths."""
    if is_padded:  # each token of an answer is a pass over the prompt and what there is of the answer
        grown = sum(length * (length - 1) // 2 for length in lengths)
        return Work(nodes=grown) + decoding_work([1] * sum(lengths))
    steps = decoding_steps(lengths, batch_size=settings.batch_size)
    read, begin = 0, 0
    for count in steps.reads:
        read += nodes_of_prompts(prompts[begin : begin + count], is_padded=False)
        begin += count
    return Work(nodes=read) + decoding_work(steps.slots)


def baselines_work(ahead: EvaluationAhead) -> Work:
    """Return the work of the base model on the prompts of all baselines.

    Questions are as long as in the prompt template of the run, and examples as long as the mean test row. Answers after
    examples are as long as the references.
    """
    recipe, settings = ahead.recipe, ahead.recipe.evaluation
    names = set(settings.baselines)
    if not names or not ahead.test_rows:
        return Work()
    tested = [ahead.test_rows.example(place) for place in spread(len(ahead.test_rows), MOST_BESIDE)]
    validated = [ahead.validation.example(place) for place in spread(len(ahead.validation), MOST_TO_CHOOSE)]
    longest = settings.max_new_tokens
    example_tokens = settings.few_shot * round(float(ahead.test_rows.tokens.mean()))

    def generating(asked: Sequence[Example], *, has_examples: bool) -> Work:
        if not asked:
            return Work()
        ordered = sorted(asked, key=lambda example: example.prompt_ids)
        lengths = (
            tuned_lengths([len(example.response_ids) for example in ordered], longest=longest)
            if has_examples
            else untuned_lengths(len(ordered), longest=longest)
        )
        prompts = [example.prompt_ids for example in ordered]
        return _generating_work(prompts, lengths, settings, is_padded=ahead.is_padded)

    work = generating(validated, has_examples=False)
    for asked in (tested, validated):
        if "chat_template" in names and recipe.data.prompt_template != "chat":
            work += generating(asked, has_examples=False)
        if settings.few_shot and asked:
            if "few_shot" in names:
                work += generating(asked, has_examples=True) + Work(nodes=example_tokens)
            if "few_shot_nearest" in names:
                own = round(DISTINCT_SHARE * example_tokens * len(asked))
                work += generating(asked, has_examples=True) + Work(nodes=own)
    return work


def tuned_lengths(references: Sequence[int], *, longest: int) -> list[int]:
    """Return lengths as a fine-tuned model's answers have them: those of the references, and a few without an end."""
    endless = round(ENDLESS_SHARE * len(references))
    places = {(2 * place + 1) * len(references) // (2 * endless) for place in range(endless)}
    return [longest if place in places else min(tokens, longest) for place, tokens in enumerate(references)]


def _general_work(tokenizer: Any, limit: int | None) -> Work:
    """Return the work of reading the general text, which shares few beginnings, and the general prompts."""
    texts = sum(len(tokenizer(text)["input_ids"]) for _, text in some_of(general_passages(), limit))
    prompts = [len(tokenizer(prompt)["input_ids"]) for prompt in some_of(general_prompts(), limit)]
    return Work(nodes=texts + sum(prompts), targets=texts + TOKENS_COMPARED * len(prompts))


def scored(examples: Sequence[Example]) -> list[Example]:
    """Return examples with their whole answers supervised, as an evaluation reads them."""
    return [example.with_response_supervised() for example in examples]


def nodes_of_prompts(prompts: Sequence[tuple[int, ...]], *, is_padded: bool) -> int:
    """Return how many tokens are computed of prompts that are read together."""
    runs = runs_within(prompts, distinct_tokens=MAX_NODES, padded=is_padded)
    return sum(count_computed([prompts[index] for index in run], is_padded=is_padded) for run in runs)
