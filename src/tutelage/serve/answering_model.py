"""What serving needs from a run: prompt template, end tokens, context length, and both models on demand.

torch and transformers are only imported when a model is loaded, because an export may be served instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.data.dataset.fingerprints import fingerprints_of
from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import DataError
from tutelage.model.end_tokens import end_tokens
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.saved_tokenizer import read_kept_tokenizer
from tutelage.model.sources import check_files_unchanged
from tutelage.model.trained import TrainedModel

if TYPE_CHECKING:
    from tutelage.model.forward import CausalModel


@dataclass(frozen=True)
class Served:
    """A run that can be served. `context` is the maximum number of tokens of prompt and answer together."""

    tokenizer: Any
    renderer: PromptRenderer
    end_tokens: Collection[int]
    context: int
    load_variant: Mapping[str, Callable[[], CausalModel]]

    def prompt_of_messages(self, turns: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Return the ids before the answer to a conversation, rendered as in training."""
        return tuple(self.renderer.prompt_ids(Conversation(0, (*turns, ChatMessage("assistant", "")))))

    def prompt_of_text(self, text: str) -> tuple[int, ...]:
        """Return the ids of a plain text to be continued, without prompt template or control tokens."""
        plain = Conversation(0, (ChatMessage("assistant", text),), format="text")
        return self.renderer.example(plain, train_on="last").ids[:-1]  # without the end of turn

    def tokens_left_after(self, prompt: Sequence[int], wanted: int | None) -> int:
        """Return the maximum length of an answer in tokens; raise DataError if the prompt is too long."""
        room = self.context - len(prompt)
        if room < (wanted or 1):
            raise DataError(
                "serve.prompt_too_long",
                f"The prompt has {len(prompt):,} tokens, which leaves {max(room, 0):,} of the context of"
                f" {self.context:,}, too few for an answer of up to {wanted or 1:,}. Shorten the prompt, or"
                " lower max_tokens.",
            )
        return wanted or room


def load_served(trained: TrainedModel, *, context: int | None = None) -> Served:
    """Return what serves a trained model and its base; neither is loaded yet.

    `context`: maximum number of tokens of prompt and answer; by default that of the model.
    """
    renderer, source = _load_renderer(trained), trained.source
    return Served(
        renderer.tokenizer,
        renderer,
        end_tokens(source.folder, renderer.tokenizer, trained.preparation.end_of_turn_id),
        context or context_length(source.folder),
        # Separate weights for each: switching an adapter on and off would disable the fast paths.
        {
            "base": lambda: _load_base(trained),
            "tuned": lambda: _load_tuned(trained),
        },
    )


def _load_renderer(trained: TrainedModel) -> PromptRenderer:
    """Return a renderer based on the tokenizer saved with the weights, if its hash matches the prepared rows.

    It loads in a fifth of the time that transformers' own takes.
    """
    recipe, kept = trained.recipe, read_kept_tokenizer(trained.weights)
    if kept is not None:
        renderer = make_renderer(kept, recipe.data.prompt_template)
        now = fingerprints_of(
            "", recipe.data, renderer, context_length=0, weights="", objective=recipe.objective
        )
        before = trained.preparation.fingerprints
        if all(before.get(part) == now[part] for part in ("tokenizer", "prompt")):
            return renderer
    return make_renderer(load_tokenizer(trained.source.folder), recipe.data.prompt_template)


def _load_base(trained: TrainedModel) -> CausalModel:
    with ThreadPoolExecutor(1) as beside:
        # A server loads a model on its first request, which may be days after the start.
        checked = beside.submit(check_files_unchanged, trained.source)
        try:
            return trained.load_base()
        finally:
            checked.result()  # reports a damaged file, which may have made loading fail with another error


def _load_tuned(trained: TrainedModel) -> CausalModel:
    trained.check()  # before loading the base, which takes longer
    return trained.load_tuned(_load_base(trained))
