"""`tutelage chat`: chat with the tuned model of a run, and with its base model."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tutelage.cli.options import RunOptions
from tutelage.cli.sessions import earlier_session, forgive_ctrl_c
from tutelage.cli.views import console
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError, Interrupted, ModelError, RecipeError, StorageError
from tutelage.stages.chat import Talk, talking
from tutelage.stages.settings import check_trained_settings, check_unused_settings, require_answers

HELP = (
    """\
/tuned         only the tuned model answers (the default)
/base          only the model it was"""
    """ tuned from answers
/both          both answer, each with its own conversation
/reset         clear"""
    """ the conversation
/save FILE     write the conversation as JSONL, one line per model, in the"""
    """ messages format
/help          show this help
/quit          leave; so does Ctrl-D
Ctrl-C"""
    """         stop the answer; at the prompt, leave"""
)
SHOWN_BY = {"/tuned": ("tuned",), "/base": ("base",), "/both": ("base", "tuned")}


@dataclass
class Conversation:
    """The messages exchanged with each model, and which models answer at the moment."""

    talk: Talk
    variants: Sequence[str] = ("tuned",)


def chat(options: RunOptions = RunOptions()) -> None:  # noqa: B008 - frozen
    """Chat with the fine-tuned model; /help lists the commands."""
    with earlier_session(options) as session:
        check_trained_settings(session)
        require_answers(session)
        check_unused_settings(session, command="chat", honoured=("evaluation.max_new_tokens", *PLACE_OF_WORK))
        if sys.stdin is None:
            raise RecipeError(
                "cli.stdin_closed",
                "`tutelage chat` reads from standard input, which is closed. Leave it open.",
            )
        with talking(session) as talk:
            try:
                _converse(Conversation(talk))
            except Interrupted:
                console.print_message()


def _converse(conversation: Conversation) -> None:
    if sys.stdin.isatty():
        console.print_message("Ask something. /help lists the commands.")
    for line in _lines():
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        if line.strip() == "/quit":
            return
        if word.startswith("/"):
            _obey(conversation, word, rest.strip())
        else:
            _ask(conversation, line.rstrip("\n"))


def _lines() -> Iterator[str]:
    """Yield lines that are typed or piped."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(
            errors="surrogateescape"
        )  # invalid bytes in one line must not end the conversation
    while True:
        try:
            yield input("\n> ") if sys.stdin.isatty() else input()
        except (EOFError, OSError):  # the terminal may be gone
            return


def _obey(conversation: Conversation, word: str, rest: str) -> None:
    if rest and word in HELP.split() and word != "/save":
        console.print_message(f"{word} takes no arguments. Enter it alone.")
    elif word in SHOWN_BY:
        conversation.variants = SHOWN_BY[word]
        console.print_message(f"From now on: {' and '.join(conversation.variants)}.")
    elif word == "/reset":
        conversation.talk.forget()
        console.print_message("Forgotten.")
    elif word == "/save":
        _save(conversation.talk, rest)
    elif word == "/help":
        console.print_message(HELP)
    else:
        console.print_message(f"Unknown command {word}. /help lists the commands.")


def _save(talk: Talk, name: str) -> None:
    if not name:
        console.print_message("Name a file: /save talk.jsonl")
        return
    if talk.is_empty:
        console.print_message("There is no conversation yet, so nothing was written.")
        return
    try:
        path = Path(name).expanduser()
        if path.exists():
            console.print_message(f"{path} already exists and was left unchanged. Name another file.")
            return
        talk.save(path)
    except StorageError as fault:  # the conversation continues
        console.print_message(str(fault))
        return
    except (OSError, ValueError, RuntimeError) as fault:
        console.print_message(
            f"Could not write {name[:80]!r}: {getattr(fault, 'strerror', None) or fault}. Name another file."
        )
        return
    console.print_message(f"Written: {path}")


def _ask(conversation: Conversation, text: str) -> None:
    for variant in conversation.variants:
        if len(conversation.variants) > 1:
            console.heading(variant)
        try:
            answer = _answer(conversation.talk, variant, text)
        except (DataError, ModelError) as fault:  # ModelError: the chat template rejects the conversation
            console.print_message(f"{fault} /reset clears the conversation.")
            continue
        conversation.talk.remember(variant, text, answer)


def _answer(talk: Talk, variant: str, text: str) -> str:
    """Print an answer as it is generated, and return it; Ctrl-C keeps what was generated."""
    pieces, said = talk.ask(variant, text), ""
    try:
        with console.streamed() as show, closing(pieces):
            for piece in pieces:
                said += piece.text
                show(piece.text)
    except Interrupted:
        if not forgive_ctrl_c():
            raise  # other signals are meant to end the process
        console.print_message(" …")
        return said
    console.print_message()
    if piece.fault:
        raise DataError(piece.fault.code, piece.fault.text)
    if piece.finish_reason == "length":
        console.print_message(
            f"(cut after {piece.tokens:,} tokens; raise evaluation.max_new_tokens for more)"
        )
    return said
