"""Encode conversations as token ids; training, evaluation and everything later use the same renderer.

A prompt is a list of pieces: text, which can never become a control token, and control tokens, which only a
template can add. The prompt and each answer are encoded separately and their ids concatenated. So it is known
which ids are supervised, and the ids before an answer are the same whether the answer follows or not.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import Any

from tokenizers import Encoding

from tutelage.config.recipe import PromptStyle, TrainOn
from tutelage.data.prompts.chat_templates import render_template, skips_blank_system, template_parts
from tutelage.data.prompts.encoding import (
    ContentEncoder,
    Control,
    OpeningSpace,
    Piece,
    adds_begin_of_text,
    check_control_tokens,
    content_encoder,
    control_tokens,
    cut_at_controls,
    distinct_texts,
    encode_batch,
    encodings_of,
    join_pieces,
    piece_text,
    with_opening_spaces,
)
from tutelage.data.prompts.prompt_templates import PromptTemplate, alpaca, alpaca_compact, phi3
from tutelage.data.prompts.supervision import EncodedAnswer, example_of
from tutelage.data.prompts.text_parts import PartNumbers, joined_ids, split_ids
from tutelage.data.rows.conversations import ChatMessage, Conversation, in_batches, without_blank_system
from tutelage.errors import ModelError
from tutelage.tree.examples import Example, PreparedRow

CHARACTERS_AT_ONCE = 2**18  # encoded together, approximately; limits the encoder's memory
CHARACTERS_KEPT = 2**21  # characters whose ids are cached for later texts, approximately: about 30 MB
WITHOUT_TEMPLATE: PromptStyle = "alpaca"  # what `auto` stands for if the model has no chat template


@dataclass(frozen=True, slots=True)
class PromptedAnswer:
    """An assistant message, and the pieces between the previous answer's end and its own beginning."""

    before: list[Piece]
    text: str
    is_supervised: bool

    def texts(self) -> list[str]:
        return [*(piece for piece in self.before if isinstance(piece, str)), self.text]


@dataclass(frozen=True)
class _Batch:
    """Conversations that are being encoded together."""

    conversations: list[Conversation]
    layouts: list[list[PromptedAnswer]]  # as laid out
    joined: list[list[PromptedAnswer]]  # as encoded
    parts_of: dict[str, list[int]]  # part numbers of each text
    ids_of_parts: list[bytes]  # by part number; new parts are appended once they are encoded
    groups: list[list[str]]  # the new parts, grouped for encoding
    encoding: Future[list[Encoding]]


@dataclass(frozen=True)
class PromptRenderer:
    """A prompt style bound to a tokenizer; `lay_out` returns the pieces before each answer of a conversation."""

    tokenizer: Any
    encoder: ContentEncoder  # of message contents
    lay_out: Callable[[Conversation], list[PromptedAnswer]]
    end_of_turn: int

    def prompt_ids(self, conversation: Conversation) -> list[int]:
        """Return the ids before the last answer, the input for generation."""
        _, _, (*earlier, last) = next(self._encoded([conversation]))
        return [*chain.from_iterable((*answer.before, *answer.ids) for answer in earlier), *last.before]

    def prompt_text(self, conversation: Conversation) -> str:
        """Return the text before the last answer, including control tokens."""
        return self._prompt_text(self.lay_out(conversation))

    def _prompt_text(self, layout: Sequence[PromptedAnswer]) -> str:
        *earlier, last = layout
        if not earlier:
            return piece_text(last.before)
        end = self.tokenizer.convert_ids_to_tokens(self.end_of_turn)
        told = "".join(f"{piece_text(answer.before)}{answer.text}{end}" for answer in earlier)
        return told + piece_text(last.before)

    def example(self, conversation: Conversation, *, train_on: TrainOn) -> Example:
        """Return the example of one conversation."""
        [example] = self.examples([conversation], train_on=train_on)
        return example

    def examples(self, conversations: Iterable[Conversation], *, train_on: TrainOn) -> Iterator[Example]:
        """Yield the example of each conversation."""
        for conversation, _, answers in self._encoded(conversations):
            yield example_of(conversation.row, answers, train_on)

    def rows(
        self, conversations: Iterable[Conversation], *, train_on: TrainOn
    ) -> Iterator[tuple[Conversation, PreparedRow]]:
        """Yield each conversation with its text and example."""
        for conversation, layout, answers in self._encoded(conversations):
            example = example_of(conversation.row, answers, train_on)
            prompt, messages = self._prompt_text(layout), conversation.context_records
            yield conversation, PreparedRow(prompt, conversation.response, example, messages)

    def _encoded(
        self, conversations: Iterable[Conversation]
    ) -> Iterator[tuple[Conversation, list[PromptedAnswer], list[EncodedAnswer]]]:
        """Yield each conversation with its layout and encoded answers, encoding the next batch in the background."""
        with ThreadPoolExecutor(max_workers=1) as ahead:
            waiting: deque[_Batch] = deque()
            numbers, ids = PartNumbers(), list[bytes]()
            for at_once in in_batches(conversations, CHARACTERS_AT_ONCE):
                layouts = [self.lay_out(one) for one in at_once]
                joined = [_joined(layout, self.encoder.opening_space) for layout in layouts]
                texts = (text for layout in joined for answer in layout for text in answer.texts())
                seen = len(numbers)
                parts_of = {text: numbers.of(self.encoder.parts(text)) for text in distinct_texts(texts)}
                groups = self.encoder.groups(islice(numbers, seen, None))
                encoding = ahead.submit(encode_batch, self.encoder, ["".join(group) for group in groups])
                waiting.append(_Batch(at_once, layouts, joined, parts_of, ids, groups, encoding))
                if numbers.characters > CHARACTERS_KEPT:
                    numbers, ids = PartNumbers(), []
                if len(waiting) > 1:
                    yield from self._put_together(waiting.popleft())
            while waiting:
                yield from self._put_together(waiting.popleft())

    def _put_together(
        self, batch: _Batch
    ) -> Iterator[tuple[Conversation, list[PromptedAnswer], list[EncodedAnswer]]]:
        encoded = encodings_of(batch.encoding, batch.conversations)
        batch.ids_of_parts.extend(split_ids(batch.groups, encoded))
        ids_of: dict[Piece, list[int]] = {"": []}

        def ids(piece: Piece) -> list[int]:
            if piece not in ids_of:
                ids_of[piece] = (
                    [self.tokenizer.convert_tokens_to_ids(piece.token)]
                    if isinstance(piece, Control)
                    else joined_ids(map(batch.ids_of_parts.__getitem__, batch.parts_of[piece]))
                )
            return ids_of[piece]

        for conversation, layout, joined in zip(
            batch.conversations, batch.layouts, batch.joined, strict=True
        ):
            yield (
                conversation,
                layout,
                [
                    EncodedAnswer(
                        list(chain.from_iterable(map(ids, answer.before))),
                        # The end-of-turn token is supervised too; without it the model never learns to stop.
                        [*ids(answer.text), self.end_of_turn],
                        answer.is_supervised,
                    )
                    for answer in joined
                ],
            )


def _joined(layout: Sequence[PromptedAnswer], opening_space: OpeningSpace | None) -> list[PromptedAnswer]:
    """Join adjacent texts of each layout, because they are encoded together, and add the tokenizer's spaces."""
    joined = [PromptedAnswer(join_pieces(one.before), one.text, one.is_supervised) for one in layout]
    if opening_space is None:
        return joined
    spaced = [
        with_opening_spaces([*answer.before, answer.text], opening_space, is_first=place == 0)
        for place, answer in enumerate(joined)
    ]
    return [
        replace(answer, before=before, text=str(text))
        for answer, (*before, text) in zip(joined, spaced, strict=True)
    ]


def choose_style(tokenizer: Any) -> tuple[PromptStyle, ModelError | None]:
    """Return what `auto` stands for, and why it is not the model's own chat template where that cannot be used."""
    if not tokenizer.chat_template:
        return WITHOUT_TEMPLATE, None
    try:
        make_renderer(tokenizer, "chat")
    except ModelError as fault:
        return WITHOUT_TEMPLATE, fault
    return "chat", None


def make_renderer(tokenizer: Any, style: PromptStyle) -> PromptRenderer:
    """Bind a prompt style, other than `auto`, to a tokenizer; raise ModelError if they are incompatible."""
    known = control_tokens(tokenizer)
    check_control_tokens(tokenizer, known)
    if style == "chat":
        return _chat_renderer(tokenizer, known)
    wording, preferred_end = {
        "alpaca": (alpaca, None),
        "alpaca-compact": (alpaca_compact, None),
        "phi3": (phi3, "<|end|>"),
    }[style]
    end = _end_of_turn_id(tokenizer, preferred_end, known)
    before_text = _before_plain_text(tokenizer, end)
    begin = [known[tokenizer.bos_token]] if adds_begin_of_text(tokenizer) else []

    def lay_out(conversation: Conversation) -> list[PromptedAnswer]:
        if conversation.is_plain_text:
            return [PromptedAnswer([before_text], conversation.response, True)]
        # A marker without a control token in this tokenizer becomes ordinary text, as in the book.
        return [
            PromptedAnswer(
                [
                    *(begin if is_first else []),
                    *(known.get(p.token, p.token) if isinstance(p, Control) else p for p in pieces),
                ],
                turn.content,
                turn.is_supervised,
            )
            for pieces, turn, is_first in _worded(wording, conversation)
        ]

    return PromptRenderer(tokenizer, content_encoder(tokenizer), lay_out, end)


def _worded(
    wording: PromptTemplate, conversation: Conversation
) -> list[tuple[list[Piece], ChatMessage, bool]]:
    """Return for each assistant message the pieces before it, the message, and whether it is the first."""
    turns = without_blank_system(conversation.messages)
    places = [-1, *(place for place, turn in enumerate(turns) if turn.role == "assistant")]
    return [
        (wording(turns[before + 1 : place], before < 0), turns[place], before < 0)
        for before, place in pairwise(places)
    ]


def _before_plain_text(tokenizer: Any, end: int) -> Control:
    """Return the token before a plain text: begin of text, or else the end of turn as in pretraining."""
    return Control(
        tokenizer.bos_token if adds_begin_of_text(tokenizer) else tokenizer.convert_ids_to_tokens(end)
    )


def _end_of_turn_id(tokenizer: Any, preferred: str | None, known: Collection[str]) -> int:
    if preferred in known:
        return tokenizer.convert_tokens_to_ids(preferred)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "model.no_end_of_text_token",
            "The tokenizer has no end-of-text token (eos_token), so the model could never learn to stop. Add"
            " one to tokenizer_config.json, or choose another model.",
        )
    return tokenizer.eos_token_id


def _chat_renderer(tokenizer: Any, known: Mapping[str, Control]) -> PromptRenderer:
    """Render the model's template once for each sequence of roles, and insert the messages into the result."""
    parts = template_parts(tokenizer, ("user", "assistant"))
    end = next((p.token for p in cut_at_controls(parts[-1], known) if isinstance(p, Control)), None)
    end_of_turn = _end_of_turn_id(tokenizer, end, known)
    trims = " \ue000 " not in render_template(
        tokenizer, [{"role": "user", "content": " \ue000 "}], add_generation_prompt=True
    )
    before_text = _before_plain_text(tokenizer, end_of_turn)
    skips_blank = skips_blank_system(tokenizer)
    frames: dict[tuple[str, ...], list[list[Piece]]] = {}

    def frame_of(roles: tuple[str, ...]) -> list[list[Piece]]:
        if roles not in frames:
            texts = template_parts(tokenizer, roles)
            after_answer = [False, *(role == "assistant" for role in roles)]
            frames[roles] = [
                _after_end(list(cut_at_controls(text, known)), end)
                if is_after
                else list(cut_at_controls(text, known))
                for text, is_after in zip(texts, after_answer, strict=True)
            ]
        return frames[roles]

    def lay_out(conversation: Conversation) -> list[PromptedAnswer]:
        if conversation.is_plain_text:
            return [PromptedAnswer([before_text], conversation.response, True)]
        turns = without_blank_system(conversation.messages) if skips_blank else conversation.messages
        frame = frame_of(tuple(turn.role for turn in turns))
        answers: list[PromptedAnswer] = []
        before: list[Piece] = list(frame[0])
        for turn, following in zip(turns, frame[1:], strict=True):
            if turn.role == "assistant":
                answers.append(PromptedAnswer(before, turn.content, turn.is_supervised))
                before = list(following)
            else:
                before += [turn.content.strip() if trims else turn.content, *following]
        return answers

    return PromptRenderer(tokenizer, content_encoder(tokenizer), lay_out, end_of_turn)


def _after_end(pieces: list[Piece], end: str | None) -> list[Piece]:
    """Return the template's pieces after an answer's end of turn, which the renderer adds itself."""
    places = [
        place for place, piece in enumerate(pieces) if isinstance(piece, Control) and piece.token == end
    ]
    return pieces[places[0] + 1 :] if places else pieces
