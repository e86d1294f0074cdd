"""From a row to token ids: the one renderer of training, evaluation and everything later.

A prompt is a list of pieces: text, which can never become a control token whatever it says, and control tokens, which
only a template can name. Prompt and response are encoded apart and joined by their ids, so that the ids of a prompt
are the same whether a response follows it or is still to be generated.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from tutelage.data.examples import Example
from tutelage.data.formats import InstructionRow
from tutelage.errors import ModelError
from tutelage.recipe import PromptStyle

# Private-use characters hold the place of the content while a chat template is rendered; no template names them.
USER_CONTENT = "\ue000user\ue001"
ASSISTANT_CONTENT = "\ue000assistant\ue001"


@dataclass(frozen=True)
class Control:
    """A control token, by its text; some swallow the white space that a template writes after them."""

    token: str
    swallows_space: bool = False


Piece = str | Control


@dataclass(frozen=True)
class PromptRenderer:
    """A prompt style bound to a tokenizer."""

    tokenizer: Any
    prompt_pieces: Callable[[InstructionRow], Sequence[Piece]]
    end_of_turn: int

    def prompt_ids(self, row: InstructionRow) -> list[int]:
        """Return the ids that stand before the response: what generation is given."""
        return encode_pieces(self.tokenizer, self.prompt_pieces(row))

    def prompt_text(self, row: InstructionRow) -> str:
        """Return the prompt as it reads, control tokens by their text."""
        return "".join(
            piece.token if isinstance(piece, Control) else piece for piece in self.prompt_pieces(row)
        )

    def example(self, row: InstructionRow, *, loss_on: str) -> Example:
        """Return the ids of prompt, response and end of turn, and how many of the last are supervised."""
        prompt = self.prompt_ids(row)
        # The end-of-turn token is supervised too; without it the model never learns to stop.
        response = [*encode_text(self.tokenizer, row.output), self.end_of_turn]
        ids = prompt + response
        # Nothing predicts the first token of all, so "everything" begins with the second.
        supervised = len(response) if loss_on == "response" else len(ids) - 1
        return Example(row.row, tuple(ids), prompt_tokens=len(prompt), supervised=supervised)


def make_renderer(tokenizer: Any, style: PromptStyle) -> PromptRenderer:
    """Bind a prompt style to a tokenizer, or say why the two do not go together."""
    known = control_tokens(tokenizer)
    _refuse_leaks(tokenizer, known)
    if style == "chat":
        return _chat_renderer(tokenizer, known)
    pieces_of, end_of_turn = {
        "alpaca": (_alpaca, None),
        "alpaca-compact": (_alpaca_compact, None),
        "phi3": (_phi3, "<|end|>"),
    }[style]
    begin = [known[tokenizer.bos_token]] if _adds_begin_of_text(tokenizer) else []

    def prompt_pieces(row: InstructionRow) -> list[Piece]:
        # A marker that this tokenizer has no control token for is ordinary text, as in the book.
        named = [
            known.get(piece.token, piece.token) if isinstance(piece, Control) else piece
            for piece in pieces_of(row.instruction, row.input)
        ]
        return [*begin, *named]

    return PromptRenderer(tokenizer, prompt_pieces, _end_of_turn_id(tokenizer, end_of_turn, known))


def control_tokens(tokenizer: Any) -> dict[str, Control]:
    """Return the control tokens by their text: those with a role, like eos_token, and those that are only marked.

    Phi-3's and Llama 3's turn markers stand in tokenizer.json alone, so that `all_special_tokens` lacks them.
    """
    marked = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    return {token: Control(token) for token in tokenizer.all_special_tokens} | {
        token.content: Control(token.content, swallows_space=token.rstrip) for token in marked
    }


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Encode content: a control token spelled out in it becomes ordinary text tokens."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) if text else []


def encode_pieces(tokenizer: Any, pieces: Sequence[Piece]) -> list[int]:
    """Encode neighbouring texts as one text, and each control token as its own id."""
    ids: list[int] = []
    text, swallows = "", False
    for piece in pieces:
        if isinstance(piece, Control):
            ids += [*encode_text(tokenizer, text), tokenizer.convert_tokens_to_ids(piece.token)]
            text, swallows = "", piece.swallows_space
        else:
            text += piece.lstrip() if swallows else piece
            swallows = False
    return ids + encode_text(tokenizer, text)


def _refuse_leaks(tokenizer: Any, known: Mapping[str, Control]) -> None:
    """Stop where a control token comes out of plain text all the same, as unigram vocabularies let it."""
    ids = {tokenizer.convert_tokens_to_ids(token) for token in known}
    for token in known:
        if not ids.isdisjoint(encode_text(tokenizer, f"a{token} {token} a")):
            raise ModelError(
                f"This model's tokenizer makes a control token of {token!r} wherever it stands in a text, so data"
                " could end a turn or begin one. Choose another model."
            )


def _alpaca(instruction: str, input: str) -> list[Piece]:
    """The wording of Stanford Alpaca and of the book."""
    return _alpaca_after("Below is an instruction that describes a task. Write", instruction, input)


def _alpaca_compact(instruction: str, input: str) -> list[Piece]:
    """The article's wording, to the byte: no space after "task."."""
    return _alpaca_after("Below is an instruction that describes a task.Write", instruction, input)


def _alpaca_after(opening: str, instruction: str, input: str) -> list[Piece]:
    input_section = f"\n\n### Input:\n{input}" if input else ""
    return [
        f"{opening} a response that appropriately completes the request."
        f"\n\n### Instruction:\n{instruction}{input_section}\n\n### Response:\n"
    ]


def _phi3(instruction: str, input: str) -> list[Piece]:
    """The Phi-3 wording of the book."""
    content = f"{instruction}\n{input}\n" if input else f"{instruction}\n"
    return [Control("<|user|>"), "\n", content, Control("<|assistant|>"), "\n"]


def _adds_begin_of_text(tokenizer: Any) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer.encode("a")[0] == tokenizer.bos_token_id


def _end_of_turn_id(tokenizer: Any, preferred: str | None, known: Collection[str]) -> int:
    if preferred in known:
        return tokenizer.convert_tokens_to_ids(preferred)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "The tokenizer names no end-of-text token (eos_token), so the model could never learn to stop."
            " Add it to tokenizer_config.json, or choose another model."
        )
    return tokenizer.eos_token_id


def _chat_renderer(tokenizer: Any, known: Mapping[str, Control]) -> PromptRenderer:
    """Render the model's own template once, with place-holders, and put each row's content in their place."""
    user = {"role": "user", "content": USER_CONTENT}
    assistant = {"role": "assistant", "content": ASSISTANT_CONTENT}
    prompt = _render_template(tokenizer, [user], add_generation_prompt=True)
    conversation = _render_template(tokenizer, [user, assistant], add_generation_prompt=False)
    if conversation.count(ASSISTANT_CONTENT) != 1 or prompt.count(USER_CONTENT) != 1:
        raise ModelError(
            "The model's chat template does not show each message once. Choose another data.prompt."
        )
    before_response, after_response = conversation.split(ASSISTANT_CONTENT)
    if before_response != prompt:
        raise ModelError(
            "The model's chat template opens the assistant's turn differently when it is generated"
            f" ({prompt[-40:]!r}) than when it is trained ({before_response[-40:]!r}). Choose another data.prompt."
        )
    end = next(
        (piece.token for piece in _cut_at_controls(after_response, known) if isinstance(piece, Control)), None
    )
    trims = f" {USER_CONTENT} " not in _render_template(
        tokenizer, [{"role": "user", "content": f" {USER_CONTENT} "}], add_generation_prompt=True
    )
    opening, closing = (list(_cut_at_controls(part, known)) for part in prompt.split(USER_CONTENT))

    def prompt_pieces(row: InstructionRow) -> list[Piece]:
        content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        return [*opening, content.strip() if trims else content, *closing]

    return PromptRenderer(tokenizer, prompt_pieces, _end_of_turn_id(tokenizer, end, known))


def _render_template(tokenizer: Any, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    if not tokenizer.chat_template:
        raise ModelError("The model has no chat template, so data.prompt cannot be `chat`. Try `alpaca`.")
    try:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except (TemplateError, TypeError, ValueError) as fault:
        raise ModelError(
            f"The model's chat template fails on a question and an answer: {fault}. Choose another data.prompt."
        ) from fault


def _cut_at_controls(text: str, known: Mapping[str, Control]) -> Iterator[Piece]:
    """Cut a template's own text at the control tokens in it."""
    longest_first = sorted(known, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first)
    for part in re.split(f"({pattern})", text) if pattern else [text]:
        if part:
            yield known.get(part, part)
