"""Preference rows: one prompt with a chosen and a rejected answer."""

from collections.abc import Sequence

from tutelage.data.alpaca_rows import read_alpaca
from tutelage.data.conversations import Turn
from tutelage.data.messages import read_messages, read_side, system_message
from tutelage.data.reading import Reading, RowError, Value, json_kind

PROMPTS_OF_PREFERENCES = ("messages", "conversations", "prompt", "instruction", "question")


def read_preference(value: Value, reading: Reading) -> tuple[Turn, ...]:
    """Read the chosen answer as the one to train; both layouts, with the prompt apart or inside the answers."""
    chosen = read_side(value, "chosen", "assistant", reading)
    prompts = [name for name in PROMPTS_OF_PREFERENCES if name in value]
    if chosen and chosen[0].role != "assistant":
        _pass_over_prompts(value, prompts, reading)
        return (*system_message(value, reading), *chosen)
    _pass_over_prompts(value, prompts[1:], reading)
    return (*_preference_prompt(value, reading), *chosen)


def _pass_over_prompts(value: Value, names: Sequence[str], reading: Reading) -> None:
    reading.pass_over({name: value[name] for name in names}, (), "preference rows with two prompts")


def _preference_prompt(value: Value, reading: Reading) -> tuple[Turn, ...]:
    for name in ("messages", "conversations"):
        if name in value:
            return (*system_message(value, reading), *read_messages(value[name], name, reading))
    if "prompt" in value:
        return (*system_message(value, reading), *read_side(value, "prompt", "user", reading))
    if "instruction" in value:
        return read_alpaca({**value, "output": ""}, reading)[:-1]
    if "question" in value:
        return (*system_message(value, reading), Turn("user", reading.text(value, "question")))
    raise RowError(
        "data.missing_prompt",
        "with 'chosen' and 'rejected' but no prompt",
        json_kind(value["chosen"]),
        "Give the prompt as 'prompt', or whole conversations as 'chosen' and 'rejected'.",
    )


def read_rejected(value: Value, context: Sequence[Turn], reading: Reading) -> str | None:
    """Read the second answer, alone or at the end of a whole conversation; None where that is another than chosen's."""
    turns = read_side(value, "rejected", "assistant", reading)
    if not turns:
        return ""
    own = (*system_message(value, reading), *turns[:-1])
    is_whole = turns[0].role != "assistant"
    if turns[-1].role != "assistant" or (is_whole and own != tuple(context)):
        return None
    return turns[-1].said
