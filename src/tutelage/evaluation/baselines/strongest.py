"""Answers rows by every baseline, and chooses the strongest one on validation rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.codes import Message
from tutelage.config.recipe import Recipe
from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.errors import ModelError
from tutelage.evaluation.baselines import load_baseline
from tutelage.evaluation.baselines.baseline import AnswerBaseline, PromptBaseline, TrainingRows
from tutelage.evaluation.baselines.prompts import make_prompts
from tutelage.evaluation.metrics.metric import AnswerMetric
from tutelage.evaluation.stats.sampling import spread
from tutelage.tree.examples import PreparedRow

BASE = "base"  # the base model in the prompt template of the run
CHAT = "chat"
FEWEST_TO_CHOOSE = 10  # validation rows
MOST_TO_CHOOSE = 40
MOST_BESIDE = 200  # test rows that a baseline answers if it is not the strongest

Answers = list[dict[str, Any]]
Rows = Sequence[PreparedRow]
# Lets the base model answer rows: ask(name, label, rows, end_of_turn, shared), where all prompts begin alike if shared.
Ask = Callable[[str, str, Rows, int, bool], Answers]


@dataclass(frozen=True)
class Baseline:
    """One baseline with its answers to test rows, and its mean score on the validation rows if a choice was made."""

    label: str
    answers: Answers
    validation: float | None
    prompt_template: str | None  # None where no model answers
    examples: int | None  # before each question, at most


@dataclass(frozen=True)
class Baselines:
    """All baselines by their names, the strongest one, and why some were left out.

    `validation_rows` counts the rows that the choice was made on, 0 where there were too few.
    """

    found: Mapping[str, Baseline]
    strongest: str
    validation_rows: int
    left_out: Mapping[str, Message]

    @property
    def against(self) -> str:
        """Return the strongest baseline in words that follow "better than"."""
        one = self.found[self.strongest]
        if one.prompt_template is None:
            return f"the best answer without a model ({one.label})"
        prompts = sum(other.prompt_template is not None for other in self.found.values())
        is_best = self.validation_rows > 0 and prompts > 1
        return f"the base model's best prompt ({one.label})" if is_best else f"the base model ({one.label})"


def find_baselines(
    recipe: Recipe,
    *,
    training: Rows,
    validation: Rows,
    test: Rows,
    base_answers: Answers,
    tokenizer: Any,
    metric: AnswerMetric,
    room: int,
    ask: Ask,
) -> Baselines | None:
    """Let every baseline of the recipe answer, and choose the strongest; None if the rows have no questions.

    The choice is made by the mean of the metric on validation rows; the references of test rows have no say in it. The
    strongest baseline answers all test rows, the others some of them.

    Args:
        base_answers: The answers of the base model to the test rows, in the prompt of the run.
        room: The largest number of tokens that a prompt may have.
    """
    known = TrainingRows(training, seed=recipe.training.seed)
    if not known.rows or not all(row.messages for row in (*test, *validation)):
        return None
    search = _Search(recipe, tokenizer, known, room, ask)
    chosen_on = _spread(validation, MOST_TO_CHOOSE)
    if len(validation) < FEWEST_TO_CHOOSE:
        search.left_out[BASE] = Message(
            "evaluate.too_few_validation_rows",
            f"there are {len(validation)} validation rows, but {FEWEST_TO_CHOOSE} are needed to choose the strongest"
            " baseline. The verdict compares with the base model in the prompt of the run.",
        )
        chosen_on = ()
    means = _means_on_validation(search, chosen_on, metric)
    # Of equal ones the plainest, which stands first.
    strongest = max(means, key=lambda name: metric.gain(means[name])) if chosen_on else BASE
    found = {
        BASE: Baseline("prompt of the run", base_answers, means.get(BASE), recipe.data.prompt_template, 0)
    }
    for name in recipe.evaluation.baselines:
        if chosen_on and name not in means:
            continue
        answered = search.answer(name, "test", test if name == strongest else _spread(test, MOST_BESIDE))
        if answered is not None:
            found[name] = Baseline(
                answered.label, answered.answers, means.get(name), answered.style, answered.examples
            )
    if strongest not in found:  # a test row is so long that its prompt has no room
        strongest = BASE
    return Baselines(found, strongest, len(chosen_on), search.left_out)


def _means_on_validation(search: "_Search", rows: Rows, metric: AnswerMetric) -> dict[str, float]:
    """Return the mean score of each baseline, and let the search know which prompt style is better."""
    means: dict[str, float] = {}
    if not rows:
        return means
    for name in (BASE, *search.recipe.evaluation.baselines):
        answered = search.answer(name, "validation", rows)
        if answered is not None:
            means[name] = float(np.mean([metric.score(answer) for answer in answered.answers]))
        if answered is not None and answered.style == CHAT and metric.gain(means[name] - means[BASE]) > 0:
            search.better_style = CHAT
    return means


@dataclass(frozen=True)
class _Answered:
    answers: Answers
    label: str
    style: str | None = None
    examples: int | None = None


class _Search:
    """Answers rows by the name of a baseline, and notes why one cannot."""

    def __init__(self, recipe: Recipe, tokenizer: Any, training: TrainingRows, room: int, ask: Ask) -> None:
        self.recipe = recipe
        self.better_style: str = recipe.data.prompt_template
        self.left_out: dict[str, Message] = {}
        self._tokenizer, self._training, self._room, self._ask = tokenizer, training, room, ask
        self._renderers: dict[str, PromptRenderer] = {}

    def answer(self, name: str, split: str, rows: Rows) -> _Answered | None:
        """Return the answers of a baseline; None if it is left out, or is the same as the prompt of the run."""
        if name == BASE:
            return self._plain(name, split, rows)
        one = load_baseline(name)
        if isinstance(one, AnswerBaseline):
            return _Answered(_as_answers(rows, one.answers(self._training, rows)), one.label)
        if one.style == CHAT and self.recipe.data.prompt_template == CHAT:
            return None
        try:
            return self._prompted(one, split, rows)
        except ModelError as fault:
            self.left_out[name] = Message(fault.code, str(fault))
            return None

    def _plain(self, name: str, split: str, rows: Rows) -> _Answered:
        style = self.recipe.data.prompt_template
        end = self._renderer(style).end_of_turn
        answers = self._ask(f"{name}-{split}", f"({split} rows)", rows, end, True)
        return _Answered(answers, name, style, 0)

    def _prompted(self, one: PromptBaseline, split: str, rows: Rows) -> _Answered | None:
        count = self.recipe.evaluation.few_shot
        if one.examples is not None and count == 0:
            return None
        style = CHAT if one.style == CHAT else self.better_style
        renderer = self._renderer(style)
        shown = [[]] * len(rows) if one.examples is None else one.examples(self._training, rows, count)
        prompts = make_prompts(renderer, rows, shown, room=self._room, is_shared=one.is_shared)
        if prompts is None or (one.examples is not None and prompts.examples == 0):
            self.left_out[one.name] = Message(
                "evaluate.prompts_exceed_context",
                f"the prompts of the baseline {one.name} do not fit into the model's context beside"
                f" evaluation.max_new_tokens={self.recipe.evaluation.max_new_tokens}. Lower that to compare with it.",
            )
            return None
        label = one.label(prompts.examples)
        answers = self._ask(
            f"{one.name}-{split}",
            f"with {label} ({split} rows)",
            prompts.rows,
            renderer.end_of_turn,
            one.is_shared,
        )
        return _Answered(answers, label, style, prompts.examples)

    def _renderer(self, style: str) -> PromptRenderer:
        if style not in self._renderers:
            self._renderers[style] = make_renderer(self._tokenizer, style)  # type: ignore[arg-type]
        return self._renderers[style]


def _as_answers(rows: Rows, texts: Sequence[str]) -> Answers:
    return [
        {
            "row": row.example.row,
            "prompt": row.prompt,
            "reference": row.response,
            "response": text,
            "stopped": True,
        }
        for row, text in zip(rows, texts, strict=True)
    ]


def _spread(rows: Rows, most: int) -> Rows:
    return [rows[place] for place in spread(len(rows), most)]
