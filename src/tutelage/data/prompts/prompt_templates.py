"""The wordings that belong to no model: Alpaca's and Phi-3's, for one question or a whole conversation."""

from collections.abc import Callable, Sequence

from tutelage.data.prompts.encoding import Control, Piece
from tutelage.data.rows.conversations import ChatMessage

# From the turns since the answer before (or the beginning, if it is the first) to what stands before the next answer.
PromptTemplate = Callable[[Sequence[ChatMessage], bool], list[Piece]]


def alpaca(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The wording of Stanford Alpaca and of the book."""
    return _alpaca_after("Below is an instruction that describes a task. Write", turns, is_first)


def alpaca_compact(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The article's wording, to the byte: no space after "task."."""
    return _alpaca_after("Below is an instruction that describes a task.Write", turns, is_first)


def phi3(turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    """The Phi-3 wording of the book."""
    pieces: list[Piece] = [] if is_first else ["\n"]
    for turn in turns:
        content = f"{turn.text}\n{turn.input}\n" if turn.input else f"{turn.text}\n"
        pieces += [Control(f"<|{turn.role}|>"), "\n", content]
    return [*pieces, Control("<|assistant|>"), "\n"]


def _alpaca_after(opening: str, turns: Sequence[ChatMessage], is_first: bool) -> list[Piece]:
    has_system = is_first and bool(turns) and turns[0].role == "system"
    # A system text says what the opening says, so it takes its place.
    begin = turns[0].text if has_system else f"{opening} a response that appropriately completes the request."
    sections = [begin if is_first else "", *map(_section, turns[1:] if has_system else turns)]
    return ["\n\n".join([*sections, "### Response:\n"])]


def _section(turn: ChatMessage) -> str:
    heading = {"user": "Instruction", "tool": "Tool", "system": "System"}[turn.role]
    section = f"### {heading}:\n{turn.text}"
    return f"{section}\n\n### Input:\n{turn.input}" if turn.input else section
