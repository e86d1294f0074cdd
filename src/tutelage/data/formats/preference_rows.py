"""Preference rows: one prompt with a chosen and a rejected answer, in all known layouts."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tutelage.data.formats.alpaca_rows import read_alpaca
from tutelage.data.formats.messages import (
    list_in_text,
    one_system,
    read_messages,
    split_system,
    with_system_field,
)
from tutelage.data.formats.prompt_and_answer import read_either, read_prompt, starts_with
from tutelage.data.rows.conversations import ChatMessage, Role
from tutelage.data.rows.reading import NOTHING, Reading, RowError, Value, json_kind

# Names of the chosen and rejected answers; if a row has several pairs, the first one counts. A chosen answer
# under the name of an ordinary format is read like that format, and may be a whole conversation.
_KINDS = ("response", "messages", "answer", "output", "completion", "conversations")
ANSWERS: tuple[tuple[str, str], ...] = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),  # OpenAI
    *((f"chosen_{kind}", f"rejected_{kind}") for kind in _KINDS),
    *(
        (kind, f"rejected_{rejected}") for rejected in _KINDS for kind in _KINDS
    ),  # ms-swift has rejected_response
)
# Fields that no other format uses.
FIELDS_OF_PAIRS = frozenset(name for pair in ANSWERS for name in pair) - set(_KINDS)
PROMPTS_OF_PREFERENCES = ("messages", "conversations", "prompt", "instruction", "question", "query")
TEXT_PROMPTS = ("prompt", "instruction", "question", "query")
OUTPUT = "output"  # LLaMA-Factory's older layout: a list of the chosen and the rejected answer
# The transcripts of Anthropic's HH data.
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):[ ]?")
_SPEAKERS: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


class Pair(NamedTuple):
    """A conversation with the chosen answer, and the rejected answer if it has the same prompt."""

    messages: tuple[ChatMessage, ...]
    rejected: str | None
    is_rejected_supervised: bool = True


def answer_fields(fields: Collection[str]) -> tuple[str, ...]:
    """Return the fields with the chosen and the rejected answer, or () if there are none."""
    if "rejected" in fields and "chosen" in fields:
        return ANSWERS[0]
    if FIELDS_OF_PAIRS.isdisjoint(fields):
        return ()
    return next((pair for pair in ANSWERS if pair[0] in fields and pair[1] in fields), ())


def has_two_outputs(value: Value) -> bool:
    """Return whether the output of an Alpaca row is a pair of answers."""
    output = value.get(OUTPUT)
    return isinstance(output, list) and len(output) == 2 and all(isinstance(text, str) for text in output)


def read_preference(value: Value, reading: Reading) -> Pair:
    """Read both answers, each with or without the prompt."""
    row, names = _named_answers(value, reading)
    chosen, rejected = (read_either(row, name, reading) for name in names)
    apart = _with_filled_prompts(_without(row, names))
    prompts = [name for name in PROMPTS_OF_PREFERENCES if name in apart]
    if transcripts := _transcripts(row, names):
        is_inside = all(apart[name] in NOTHING for name in prompts)
        if is_inside or _repeated_prompt(apart, prompts, transcripts[0], reading)[1]:
            chosen, rejected = transcripts
    if not _is_whole(chosen):
        _pass_over_prompts(apart, prompts[1:], reading)
        prompt = _prompt(apart, reading)
        if _transcript_prompt(apart):  # there is a blank after the last speaker
            chosen, rejected = _trimmed(chosen), _trimmed(rejected)
        if len(chosen) == 1 and starts_with(
            prompt[-1:], chosen
        ):  # the prompt conversation already contains the chosen answer
            prompt = prompt[:-1]
    else:
        chosen = with_system_field(row, chosen, reading)
        prompt, repeated = _repeated_prompt(apart, prompts, chosen, reading)
        _pass_over_prompts(apart, [name for name in prompts if name != repeated], reading)
    prompt = with_system_field(row, prompt, reading)
    turns = _behind(prompt, chosen)
    answers = [turn.is_supervised for turn in rejected if turn.role == "assistant"]
    return Pair(turns, _rejected(prompt, turns, rejected), any(answers) or not answers)


def _named_answers(value: Value, reading: Reading) -> tuple[Value, tuple[str, str]]:
    """Return a row and the names of its two answers; OpenAI's input becomes the prompt."""
    filled = [name for name, found in value.items() if found not in NOTHING]  # tables have all fields
    names = answer_fields(filled) or answer_fields(value)
    if not names:
        chosen, rejected = _two_outputs(value)
        return {**_without(value, (OUTPUT,)), "chosen": chosen, "rejected": rejected}, ANSWERS[0]
    others = FIELDS_OF_PAIRS.intersection(value).difference(names)
    reading.pass_over({name: value[name] for name in sorted(others)}, (), "preference rows")
    if names[0] == "preferred_output" and "input" in value:
        value = {**_without(value, ("input",)), "prompt": _openai_prompt(value["input"], reading)}
    return value, (names[0], names[1])


def _with_filled_prompts(apart: dict[str, Any]) -> dict[str, Any]:
    """Drop empty prompt fields if another one is filled."""
    empty = [name for name in PROMPTS_OF_PREFERENCES if name in apart and apart[name] in NOTHING]
    filled = [name for name in PROMPTS_OF_PREFERENCES if name in apart and name not in empty]
    return _without(apart, empty) if filled else apart


def _two_outputs(value: Value) -> list[str]:
    if not has_two_outputs(value):
        raise RowError(
            "data.missing_field",
            "without 'chosen' and 'rejected'",
            ", ".join(map(repr, value)),
            "Name them with --map chosen=NAME --map rejected=NAME.",
        )
    return value[OUTPUT]


def _without(value: Value, names: Collection[str]) -> dict[str, Any]:
    return {key: found for key, found in value.items() if key not in names}


def _openai_prompt(found: Any, reading: Reading) -> Any:
    if isinstance(found, str) and found.lstrip().startswith("{") and '"messages"' in found:
        found = list_in_text(found, "input")  # a CSV cell can only hold text
    if not isinstance(found, dict):
        return found
    if not found.get("messages"):
        raise RowError(
            "data.missing_prompt",
            "with an 'input' that has no messages",
            json_kind(found),
            'Write it as {"messages": [...]}.',
        )
    reading.pass_over(found, ("messages",), "'input'")
    return found["messages"]


def _transcripts(
    row: Value, names: tuple[str, str]
) -> tuple[tuple[ChatMessage, ...], tuple[ChatMessage, ...]] | None:
    """Return both answers as conversations if both are transcripts."""
    chosen, rejected = (_transcript(row[name]) for name in names)
    return (chosen, rejected) if chosen and rejected else None


def _transcript(text: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(text, str):
        return ()
    before, *parts = _SPEAKER.split(text.replace("\r\n", "\n"))
    if before.strip() or len(parts) < 4 or parts[0] != "Human":
        return ()
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple(ChatMessage(_SPEAKERS[speaker], said.strip()) for speaker, said in pairs)


def _transcript_prompt(value: Value) -> tuple[ChatMessage, ...]:
    """Return the messages of a prompt that is an unfinished transcript, or ()."""
    name = next((name for name in PROMPTS_OF_PREFERENCES if name in value), None)
    if name not in TEXT_PROMPTS or any(value.get(beside) not in NOTHING for beside in ("input", "history")):
        return ()
    turns = _transcript(value[name])
    return turns[:-1] if turns and turns[-1].role == "assistant" and not turns[-1].text else ()


def _trimmed(turns: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    return tuple(replace(turn, text=turn.text.strip()) for turn in turns)


def _is_whole(turns: Sequence[ChatMessage]) -> bool:
    """Return whether messages start with the prompt."""
    return bool(turns) and turns[0].role != "assistant"


def _pass_over_prompts(value: Value, names: Sequence[str], reading: Reading) -> None:
    reading.pass_over({name: value[name] for name in names}, (), "preference rows with two prompts")


def _prompt(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    for name in ("messages", "conversations"):
        if name in value:
            return read_messages(value[name], name, reading)
    if transcript := _transcript_prompt(value):
        return transcript
    if "prompt" in value:
        return read_prompt(value, "prompt", reading)
    if "instruction" in value:
        return read_alpaca({**value, "system": None, OUTPUT: ""}, reading)[:-1]
    for name in ("question", "query"):
        if name in value:
            return (ChatMessage("user", reading.text(value, name)),)
    raise RowError(
        "data.missing_prompt",
        "with 'chosen' and 'rejected' but without a prompt",
        f"{', '.join(map(repr, value)) or 'no other field'}",
        "Add the prompt as 'prompt', or write full conversations in 'chosen' and 'rejected'.",
    )


def _repeated_prompt(
    apart: Value, prompts: Sequence[str], turns: Sequence[ChatMessage], reading: Reading
) -> tuple[tuple[ChatMessage, ...], str | None]:
    """Return the separate prompt that a conversation starts with, and its field."""
    apart_reading = replace(reading, coerces=True, unused=Counter(), as_messages=Counter(), repairs=[])
    for name in prompts:
        try:
            prompt = _prompt({**_without(apart, prompts), name: apart[name]}, apart_reading)
        except RowError:  # not this row's prompt
            continue
        asked = _asked(prompt)
        if len(asked) < len(_asked(turns)) and starts_with(_asked(turns), asked):
            return prompt, name
    return (), None


def _asked(turns: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    return split_system(turns)[1]


def _behind(prompt: Sequence[ChatMessage], turns: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    """Return an answer after its prompt, or a whole conversation with the prompt's system messages."""
    if not _is_whole(turns):
        return (*prompt, *turns)
    system, rest = split_system(turns)
    return (*one_system(split_system(prompt)[0], system), *rest)


def _rejected(
    prompt: Sequence[ChatMessage], turns: Sequence[ChatMessage], rejected: tuple[ChatMessage, ...]
) -> str | None:
    """Return the last answer of the rejected messages; None if they diverge from the chosen ones before it.

    Without a separate prompt, a single rejected answer replaces the last chosen one.
    """
    if not rejected:
        return ""
    chosen = up_to_answer(turns)
    if _asked(prompt) or _is_whole(rejected):
        try:
            rejected = _behind(prompt, rejected)
        except RowError:  # a different system message makes it a different prompt
            return None
    elif len(rejected) == 1:
        rejected = (*chosen[:-1], *rejected)
    else:
        first = next((place for place, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
        rejected = (*turns[:first], *rejected)
    rejected = up_to_answer(rejected)
    if len(chosen) != len(rejected) or not rejected:
        return None
    return rejected[-1].content if starts_with(rejected, chosen[:-1]) else None


def up_to_answer(turns: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return messages up to the last supervised answer, since checks drop those after it, or else up to the
    last answer.
    """
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    learnt = [place for place in answers if turns[place].is_supervised]
    return tuple(turns[: (learnt or answers or [-1])[-1] + 1])
