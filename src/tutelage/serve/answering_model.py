"""What answering needs of a run: its prompt style, its end of turn, its room, and both models when they are asked.

torch and transformers are imported when one of them is, since an export may answer in their place.
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
    """A run that can be asked. `context` counts tokens, prompt and answer together."""

    tokenizer: Any
    renderer: PromptRenderer
    end_tokens: Collection[int]
    context: int
    load_variant: Mapping[str, Callable[[], CausalModel]]

    def prompt_of_messages(self, turns: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Return the ids that stand before the answer to a conversation, as training rendered it."""
        return tuple(self.renderer.prompt_ids(Conversation(0, (*turns, ChatMessage("assistant", "")))))

    def prompt_of_text(self, text: str) -> tuple[int, ...]:
        """Return the ids of a plain text that is to be gone on with; it gets no prompt style and no control token."""
        plain = Conversation(0, (ChatMessage("assistant", text),), format="text")
        return self.renderer.example(plain, train_on="last").ids[:-1]  # without the end of turn

    def tokens_left_after(self, prompt: Sequence[int], wanted: int | None) -> int:
        """Return how many tokens an answer may have; DataError where those that are wanted do not fit."""
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
    """Return what answers for a trained model and its base; neither is loaded yet.

    `context`: at most so many tokens of a prompt with its answer; by default what the model takes.
    """
    renderer, source = _load_renderer(trained), trained.source
    return Served(
        renderer.tokenizer,
        renderer,
        end_tokens(source.folder, renderer.tokenizer, trained.preparation.end_of_turn_id),
        context or context_length(source.folder),
        # Each has its weights to itself: an adapter that is switched off and on costs every step its fast paths.
        {
            "base": lambda: _load_base(trained),
            "tuned": lambda: _load_tuned(trained),
        },
    )


def _load_renderer(trained: TrainedModel) -> PromptRenderer:
    """Return what renders the prompts, on the tokenizer beside the weights where it is that of the rows by their hash.

    It is there in a fifth of the time that transformers' own takes.
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
        # A server opens a model when it is first asked, which may be days after the start.
        checked = beside.submit(check_files_unchanged, trained.source)
        try:
            return trained.load_base()
        finally:
            checked.result()  # names a damaged file, at which loading may have failed in other words


def _load_tuned(trained: TrainedModel) -> CausalModel:
    trained.check()  # before the base is loaded, which takes longer
    return trained.load_tuned(_load_base(trained))
