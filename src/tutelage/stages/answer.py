"""A model of a run, opened to be asked: the tuned one, its base, or that of a checkpoint."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tutelage.errors import DataError, RecipeError
from tutelage.stages.base_model import check_base_model
from tutelage.stages.session import Session
from tutelage.stages.settings import require_answers, require_checkpoint
from tutelage.stages.warnings import warn_of_emulated_bfloat16

if TYPE_CHECKING:
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.data.rows.conversations import Conversation
    from tutelage.generation.sampling import Sampling
    from tutelage.model.forward import CausalModel

# One instruction, or the messages of a conversation up to what is to be answered.
Prompt = str | Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class AnsweringModel:
    """A model with what its prompts are rendered by; `max_new_tokens` is the recipe's."""

    model: "CausalModel"
    renderer: "PromptRenderer"
    end_tokens: Collection[int]
    context_length: int
    max_new_tokens: int

    def generate(
        self,
        prompt: Prompt,
        *,
        input: str = "",
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """Return the answer to an instruction, with its `input` if it has one, or to the messages of a conversation.

        At temperature 0 the most probable token is taken each time. DataError if the prompt leaves too little room.
        """
        from tutelage.generation.generate import answer_texts

        sampling = _sampling(temperature, top_k, top_p, seed)
        ids, most = self._prompt_ids(prompt, input, max_new_tokens)
        [text] = answer_texts(
            self.model,
            [ids],
            tokenizer=self.renderer.tokenizer,
            end_tokens=self.end_tokens,
            max_new_tokens=most,
            batch_size=1,
            sampling=sampling,
        )
        return text

    def stream(
        self,
        prompt: Prompt,
        *,
        input: str = "",
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Return the answer of `generate` in pieces of whole characters, as they are generated."""
        sampling = _sampling(temperature, top_k, top_p, seed)
        ids, most = self._prompt_ids(prompt, input, max_new_tokens)
        return self._pieces(ids, most, sampling)

    def _pieces(self, ids: tuple[int, ...], most: int, sampling: "Sampling | None") -> Iterator[str]:
        from tutelage.generation.continuous_batch import make_batch
        from tutelage.generation.sampling import next_tokens
        from tutelage.serve.answer_text import AnswerText

        batch, text = make_batch(self.model, size=1), AnswerText(self.renderer.tokenizer)
        batch.ask(0, ids)
        for count in range(most):
            following = batch.step()
            [token] = next_tokens(following.logits, following.rows, [(0, count)], sampling)
            if token in self.end_tokens:
                break
            batch.give(0, token)
            if piece := text.add(token):
                yield piece
        if piece := text.finish():
            yield piece

    def log_probs(self, prompt: Prompt, answer: str, *, input: str = "") -> list[float]:
        """Return the log-probability (nats) of each token of an answer and of the end of turn behind it.

        DataError if the model's context is too short for both.
        """
        import torch

        from tutelage.data.quality.repairs import repair_text
        from tutelage.model.forward import target_log_probs
        from tutelage.tree.prefix_tree import merge

        asked = self._conversation(prompt, input, repair_text(answer)[0])
        example = self.renderer.example(asked, train_on="last")
        if len(example.ids) > self.context_length:
            raise DataError(
                "generate.prompt_too_long",
                f"The prompt and its answer have {len(example.ids):,} tokens, but the model's context is"
                f" {self.context_length:,}. Shorten one of them.",
            )
        self.model.module.eval()
        with torch.no_grad():
            return target_log_probs(self.model, merge([example])).tolist()

    def _prompt_ids(
        self, prompt: Prompt, input: str, max_new_tokens: int | None
    ) -> tuple[tuple[int, ...], int]:
        ids = tuple(self.renderer.prompt_ids(self._conversation(prompt, input, "")))
        most = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        if not _is_whole(most) or most < 1:
            raise RecipeError(
                "cli.value_out_of_range",
                f"max_new_tokens is {most!r}, but it must be a positive integer.",
            )
        room = self.context_length - len(ids)
        if room < most:
            raise DataError(
                "generate.prompt_too_long",
                f"The instruction with its prompt template has {len(ids):,} tokens, which leaves"
                f" {max(room, 0):,} tokens of the model's context for an answer of up to {most:,}. Shorten"
                " the instruction, or lower evaluation.max_new_tokens.",
            )
        return ids, most

    def _conversation(self, prompt: Prompt, input: str, answer: str) -> "Conversation":
        from tutelage.data.quality.repairs import repair_text
        from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
        from tutelage.serve.messages import read_messages

        if not (prompt.strip() if isinstance(prompt, str) else prompt):
            raise DataError(
                "generate.no_instruction", "The prompt is empty. Pass an instruction or messages."
            )
        if input and not isinstance(prompt, str):
            raise DataError(
                "generate.message_malformed",
                "An input needs an instruction. With messages, write the input into the last message.",
            )
        if isinstance(prompt, str):
            return single_exchange_of(0, repair_text(prompt)[0], repair_text(input)[0], answer)
        turns, wrong = read_messages(list(prompt), path="prompt")
        if wrong:
            told = "; ".join(f"{one.path}: {one.words}" for one in wrong)
            raise DataError("generate.message_malformed", f"The messages cannot be read: {told}.")
        return Conversation(0, (*turns, ChatMessage("assistant", answer)))


def load_models(session: Session, variants: Sequence[str]) -> Iterator[tuple[str, AnsweringModel]]:
    """Give each of some models of a run, "base" before "tuned", on one set of weights: the first is gone by then."""
    from tutelage.model.end_tokens import end_tokens

    require_answers(session)
    run, recipe, source, inputs = session.run, session.recipe, session.source, session.inputs
    run.require(run.training, stage="train")
    require_checkpoint(run)
    check_base_model(run, source.fingerprint, source.files, adapter=source.adapter_sha256)
    trained = session.trained()
    if "tuned" in variants:
        trained.check()
    warn_of_emulated_bfloat16(session)
    model = trained.load_base()
    ends = end_tokens(source.folder, inputs.tokenizer, trained.preparation.end_of_turn_id)
    for variant in variants:
        model = model if variant == "base" else trained.load_tuned(model)
        most = recipe.evaluation.max_new_tokens
        yield variant, AnsweringModel(model, inputs.renderer, ends, inputs.context_length, most)


def _sampling(temperature: float, top_k: int | None, top_p: float, seed: int) -> "Sampling | None":
    from tutelage.generation.sampling import Sampling

    check_sampling(temperature, top_k, top_p, seed)
    return Sampling(temperature, top_k, top_p, seed) if temperature else None


def check_sampling(temperature: float, top_k: int | None, top_p: float, seed: int) -> None:
    """Stop at numbers that no token could be drawn with, and at ones that a greedy answer would ignore."""
    for name, value, is_right, right in (
        (
            "temperature",
            temperature,
            _is_number(temperature) and (temperature == 0 or 0.01 <= temperature <= 100),
            "0, or from 0.01 to 100",
        ),
        ("top-k", top_k, top_k is None or (_is_whole(top_k) and top_k >= 1), "a positive integer"),
        ("top-p", top_p, _is_number(top_p) and 0 < top_p <= 1, "above 0 and at most 1"),
        ("seed", seed, _is_whole(seed) and 0 <= seed < 2**63, "an integer from 0 to 2^63 - 1"),
    ):
        if not is_right:
            raise RecipeError("cli.value_out_of_range", f"{name} is {value}, but it must be {right}.")
    if temperature == 0 and (top_k is not None or top_p < 1 or seed):
        raise RecipeError(
            "generate.sampling_without_temperature",
            "top-k, top-p and seed only affect sampling, and temperature 0 means greedy decoding. Set a"
            " temperature, for example 0.8, or leave them out.",
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
