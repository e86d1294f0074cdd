"""Render a model's chat template in a separate process, killed if it takes too long, and read off what it writes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock, Timer
from typing import Any

from tutelage.errors import ModelError
from tutelage.system.platforms import APART_FROM_TERMINAL

LONGEST_SECONDS = 5.0  # real templates take about a thousandth of this

_IN_TURN = Lock()  # requests and replies share one pipe each


def render_template(
    tokenizer: Any, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool
) -> str:
    """Render messages with the model's template; raise ModelError if it fails or does not finish."""
    if not tokenizer.chat_template:
        raise ModelError(
            "template.missing",
            "The model has no chat template, so data.prompt_template cannot be `chat`. Try `alpaca`.",
        )
    request = {
        "template": tokenizer.get_chat_template(),
        "messages": messages,
        "add_generation_prompt": add_generation_prompt,
        "named_tokens": tokenizer.special_tokens_map,
    }
    reply = _ask(json.dumps(request) + "\n")
    if "text" not in reply:
        roles = ", ".join(message["role"] for message in messages)
        raise ModelError(
            "template.render_failed",
            f"The model's chat template fails on a conversation of {roles}: {reply['fault']}."
            " Choose another data.prompt_template.",
        )
    return reply["text"]


def skips_blank_system(tokenizer: Any) -> bool:
    """Return whether a template treats an empty system message like none, or accepts no system messages.

    Many templates write a default system message if there is none, and an empty one switches it off.
    """
    question = {"role": "user", "content": "\ue000"}
    none = render_template(tokenizer, [question], add_generation_prompt=True)
    blank = {"role": "system", "content": ""}
    try:
        return render_template(tokenizer, [blank, question], add_generation_prompt=True) == none
    except ModelError:
        return True


def template_parts(tokenizer: Any, roles: tuple[str, ...]) -> list[str]:
    """Return the template's text before, between and after messages with these roles.

    Raise ModelError if the text before an answer differs between training and generation.
    """
    # Private-use characters as placeholders for the contents; no template contains them.
    marks = [f"\ue000{place}\ue001" for place in range(len(roles))]
    messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    whole = render_template(tokenizer, messages, add_generation_prompt=False)
    parts, rest = [], whole
    for mark in marks:
        if rest.count(mark) != 1 or whole.count(mark) != 1:
            raise ModelError(
                "template.message_not_shown_once",
                f"The model's chat template does not render each message ({', '.join(roles)}) exactly once."
                " Choose another data.prompt_template.",
            )
        part, rest = rest.split(mark)
        parts.append(part)
    for place in (place for place, role in enumerate(roles) if role == "assistant"):
        asked = render_template(tokenizer, messages[:place], add_generation_prompt=True)
        trained = whole[: whole.index(marks[place])]
        if asked != trained:
            raise ModelError(
                "template.generation_prompt_differs",
                "The model's chat template starts the assistant message differently in generation"
                f" ({asked[-40:]!r}) than in training ({trained[-40:]!r}). Choose another"
                " data.prompt_template.",
            )
    return [*parts, rest]


def _ask(request: str) -> dict[str, str]:
    with _IN_TURN:
        process = _process(os.getpid())
        clock = Timer(LONGEST_SECONDS, process.kill)
        clock.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            reply = process.stdout.readline()
        except OSError:  # it ended before reading the whole request
            reply = ""
        finally:
            clock.cancel()
        told = json.loads(reply) if reply else {}
        if told and "ends" not in told:
            return told
        _process.cache_clear()
        process.communicate()
        return told or {"fault": f"it did not finish within {LONGEST_SECONDS:.0f} seconds"}


@cache
def _process(owner: int) -> Any:
    """Start the rendering process of process `owner`: a forked child needs its own.

    It ends when its parent does, because its input is closed.
    """
    process: Any = subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("template_process.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # each BLAS thread would take memory
        **APART_FROM_TERMINAL,  # Ctrl-C is for the parent only
    )
    if not process.stdout.readline():
        process.communicate()
        raise ModelError(
            "template.process_failed",
            "The process that renders chat templates did not start. Free some memory, or choose another"
            " data.prompt_template.",
        )
    return process
