"""What a model answers to the test prompts, and how probable it finds the reference answers."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.generation.generate import generate
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import CausalModel
from tutelage.tree.examples import PreparedRow

# Begins a bar for something that a model does to so many rows, and gives the function that advances it.
Progress = Callable[[str, int], Callable[[int], None]]
# Shows what is waited for, until the next wait or bar begins.
Waiting = Callable[[str], None]


def collect_responses(
    model: CausalModel,
    rows: Sequence[PreparedRow],
    settings: EvaluationSettings,
    tokenizer: Any,
    *,
    end_tokens: Collection[int],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return one record a row: the greedy answer, whether it stopped by itself, and the reference's log-probability."""
    log_probs = reference_log_probs(model, rows, progress=progress("scores the references", len(rows)))
    answers = collect_answers(
        model,
        rows,
        settings,
        tokenizer,
        end_tokens=end_tokens,
        progress=progress("answers", len(rows)),
    )
    return [
        {
            **answer,
            "reference_log_prob": log_prob,
            "reference_bytes": len(row.response.encode()) + 1,  # the end of turn counts as one byte
        }
        for row, answer, log_prob in zip(rows, answers, log_probs, strict=True)
    ]


def collect_answers(
    model: CausalModel,
    rows: Sequence[PreparedRow],
    settings: EvaluationSettings,
    tokenizer: Any,
    *,
    end_tokens: Collection[int],
    progress: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Return one record a row: the greedy answer, and whether it stopped by itself."""
    responses = generate(
        model,
        [row.example.prompt_ids for row in rows],
        end_tokens=end_tokens,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        progress=progress,
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
        }
        for row, response in zip(rows, responses, strict=True)
    ]


def reference_log_probs(
    model: CausalModel, rows: Sequence[PreparedRow], *, progress: Callable[[int], None] = lambda rows: None
) -> list[float]:
    """Return the log-probability (nats) of each reference answer with its end of turn."""
    examples = [row.example.with_response_supervised() for row in rows]
    return answer_log_probs(model, examples, progress=progress).tolist()
