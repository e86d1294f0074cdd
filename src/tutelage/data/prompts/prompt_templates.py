"""Model-independent prompt templates: Alpaca and Phi-3, for single questions and conversations."""

from collections.abc import Callable, Sequence

from tutelage.data.prompts.encoding import Control, Piece
from tutelage.data.rows.conversations import ChatMessage

# Renders the messages since the previous answer (or the beginning, if the flag is set) as the text before the
# next answer.
PromptTemplate = Callable[[Sequence[ChatMessage], bool], list[Piece]]


def alpaca(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The template of Stanford Alpaca and of the book."""
    return _alpaca_after("Below is an instruction that describes a task. Write", turns, is_first)


def alpaca_compact(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The article's template, byte for byte: no space after "task."."""
    return _alpaca_after("Below is an instruction that describes a task.Write", turns, is_first)


def phi3(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The book's Phi-3 template."""
    pieces: list[Piece] = [] if is_first else ["\n"]
    for turn in turns:
        content = f"{turn.text}\n{turn.input}\n" if turn.input else f"{turn.text}\n"
        pieces += [Control(f"<|{turn.role}|>"), "\n", content]
    return [*pieces, Control("<|assistant|>"), "\n"]


def _alpaca_after(opening: str, turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    has_system = is_first and bool(turns) and turns[0].role == "system"
    # A system message replaces the opening, which has the same purpose.
    begin = turns[0].text if has_system else f"{opening} a response that appropriately completes the request."
    sections = [begin if is_first else "", *map(_section, turns[1:] if has_system else turns)]
    return ["\n\n".join([*sections, "### Response:\n"])]


def _section(turn: ChatMessage) -> str:
    heading = {"user": "Instruction", "tool": "Tool", "system": "System"}[turn.role]
    section = f"### {heading}:\n{turn.text}"
    return f"{section}\n\n### Input:\n{turn.input}" if turn.input else section
