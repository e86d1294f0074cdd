"""Select the test rows of an evaluation, and check that the model can answer them."""

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.data.dataset.preparation import check_token_ids
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.errors import DataError
from tutelage.model.loading import context_length, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.tree.examples import Example


def rows_to_evaluate(rows: PreparedRows, recipe: Recipe, source: ModelSource) -> PreparedRows:
    """Return those test rows that are evaluated; DataError where the model cannot take one with its answer."""
    rows = rows[: recipe.evaluation.limit]
    check_token_ids(rows, vocabulary=vocabulary_size(source.folder))
    longest = rows.example(int(rows.prompt_tokens.argmax()))
    if not longest.predicts_label:  # which takes no room
        require_context_space(longest, recipe.evaluation, source)
    return rows


def require_context_space(longest: Example, settings: EvaluationSettings, source: ModelSource) -> None:
    """Stop where the longest prompt leaves less of the model's context than an answer may take."""
    context = context_length(source.folder)
    if longest.prompt_tokens + settings.max_new_tokens > context:
        raise DataError(
            "evaluate.prompt_too_long",
            f"Row {longest.row} has a prompt of {longest.prompt_tokens:,} tokens, and with"
            f" evaluation.max_new_tokens={settings.max_new_tokens} its answer could exceed the model's"
            f" context of {context:,}. Lower evaluation.max_new_tokens.",
        )
