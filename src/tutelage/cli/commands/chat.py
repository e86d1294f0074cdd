"""`tutelage chat`: a conversation with the tuned model of a run, and with its base beside it."""

import io
import queue
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.cli.opening import opened
from tutelage.cli.options import Options, open_earlier_run
from tutelage.cli.views import console
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError, Interrupted, ModelError, RecipeError, StorageError
from tutelage.run.folder import ARMS, write_json_lines
from tutelage.stages.settings import refuse_classifier, refuse_idle_settings, refuse_untrained_settings
from tutelage.stages.warnings import warn_of_emulated_bfloat16
from tutelage.system.interruption import INTERRUPTION

HELP = """\
/tuned         only the tuned model answers (this is how it begins)
/base          only the model it was tuned from answers
/both          both answer, each with its own memory
/reset         forget what was said
/save FILE     write the conversation as JSONL, a line a model, in the messages format
/help          this
/quit          leave; so does the end of the input (Ctrl-D)
Ctrl-C         stop the answer; at the prompt it leaves"""
SHOWN_BY = {"/tuned": ("tuned",), "/base": ("base",), "/both": ARMS}


@dataclass
class Talk:
    """What was said with each model, as turns in order, and which of them answer now."""

    served: Any
    engine: Any
    most_tokens: int
    arms: Sequence[str] = ("tuned",)
    turns: dict[str, list[Any]] = field(default_factory=lambda: {arm: [] for arm in ARMS})


def chat(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Talk with the tuned model of a run; /help inside tells what can be typed."""
    run, loaded = open_earlier_run(options)
    with opened(run, loaded) as session:
        refuse_untrained_settings(session)
        refuse_classifier(session)
        refuse_idle_settings(session, verb="chat", honoured=("evaluation.max_new_tokens", *PLACE_OF_WORK))
        if options.overwrite or options.dry_run:
            raise RecipeError(
                "cli.option_not_supported",
                "`tutelage chat` writes nothing: leave --overwrite and --dry-run out.",
            )
        if sys.stdin is None:
            raise RecipeError(
                "cli.stdin_closed",
                "`tutelage chat` reads from standard input, which is closed. Leave it open.",
            )
        source = session.source
        with console.waiting("Loading the model"):
            from tutelage.serve.opening import open_served
            from tutelage.serve.torch_engine import TorchEngine

            served = open_served(run, session.recipe, source)
            engine = TorchEngine(served.open_arm, served.tokenizer, end_tokens=served.end_tokens, at_once=2)
            warn_of_emulated_bfloat16(session)
            engine.open("tuned")
        try:
            _converse(Talk(served, engine, session.recipe.evaluation.max_new_tokens))
        except Interrupted:
            console.say()
        finally:
            engine.close()


def _converse(talk: Talk) -> None:
    if sys.stdin.isatty():
        console.say("Ask something. /help tells what else can be typed.")
    for line in _lines():
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        if line.strip() == "/quit":
            return
        if word.startswith("/"):
            _obey(talk, word, rest.strip())
        else:
            _ask(talk, line.rstrip("\n"))


def _lines() -> Iterator[str]:
    """Yield what is typed or piped, a line at a time."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(
            errors="surrogateescape"
        )  # one line with odd bytes must not end the conversation
    while True:
        try:
            yield input("\n> ") if sys.stdin.isatty() else input()
        except (EOFError, OSError):  # the terminal may be gone
            return


def _obey(talk: Talk, word: str, rest: str) -> None:
    if rest and word in HELP.split() and word != "/save":
        console.say(f"{word} takes no words after it, and was not done.")
    elif word in SHOWN_BY:
        talk.arms = SHOWN_BY[word]
        console.say(f"{' and '.join(talk.arms)}: from now on.")
    elif word == "/reset":
        talk.turns = {arm: [] for arm in ARMS}
        console.say("Forgotten.")
    elif word == "/save":
        _save(talk, rest)
    elif word == "/help":
        console.say(HELP)
    else:
        console.say(f"{word} is not known. /help lists what is.")


def _save(talk: Talk, name: str) -> None:
    if not name:
        console.say("Name a file: /save talk.jsonl")
        return
    told = {
        arm: [{"role": turn.role, "content": turn.text} for turn in turns]
        for arm, turns in talk.turns.items()
        if turns
    }
    if not told:
        console.say("Nothing was said yet, so nothing was written.")
        return
    try:
        path = Path(name).expanduser()
        if path.exists():
            console.say(f"{path} is there already, and was left as it is. Name another file.")
            return
        write_json_lines(path, [{"model": arm, "messages": messages} for arm, messages in told.items()])
    except StorageError as fault:  # the conversation goes on all the same
        console.say(str(fault))
        return
    except (OSError, ValueError, RuntimeError) as fault:
        console.say(
            f"{name[:80]!r} cannot be a file: {getattr(fault, 'strerror', None) or fault}. Name another."
        )
        return
    console.say(f"Written: {path}")


def _ask(talk: Talk, text: str) -> None:
    from tutelage.data.rows.conversations import Turn

    for arm in talk.arms:
        if len(talk.arms) > 1:
            console.heading(arm)
        turns = [*talk.turns[arm], Turn("user", text)]
        try:
            answer = _answer(talk, arm, turns)
        except (DataError, ModelError) as fault:  # of a model: its template does not take the conversation
            console.say(f"{fault} /reset forgets what was said.")
            continue
        talk.turns[arm] = [*turns, Turn("assistant", answer)]


def _answer(talk: Talk, arm: str, turns: Sequence[Any]) -> str:
    """Print an answer as it comes, and return it; Ctrl-C keeps what has come."""
    from tutelage.serve.questions import Piece, Question

    prompt = talk.served.prompt_of_messages(turns)
    room = min(talk.served.room_after(prompt, None), talk.most_tokens)
    pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    cancel = talk.engine.ask(Question(arm, prompt, room), pieces.put)
    said = ""
    try:
        with console.streamed() as show:
            while True:
                piece = pieces.get()
                said += piece.text
                show(piece.text)
                if piece.finish_reason:
                    break
    except Interrupted:
        cancel()
        if INTERRUPTION.by != signal.SIGINT:
            raise  # whoever ends the process means more than this answer
        INTERRUPTION.forget()
        console.say(" …")
        return said
    console.say()
    if piece.fault:
        raise DataError(piece.fault.code, piece.fault.text)
    if piece.finish_reason == "length":
        console.say(f"(cut after {piece.tokens:,} tokens; evaluation.max_new_tokens lets it go on)")
    return said
