"""Renders chat templates in a process of its own, which is run by its path: one request a line, and one reply.

A template is a program out of a model's folder. transformers keeps it in a sandbox, in which it may still loop for ever
or make a text of any length; so the memory here is bounded, and whoever asks ends the process when it takes too long.
"""

import json
import os
from contextlib import suppress
from typing import Any

MEMORY_BYTES = 2**29  # four times what the libraries below take
LONGEST_SECONDS = (
    60  # of the processor, in all: a loop ends though whoever asked was killed and cannot end it
)
LONGEST_TEXT = 2**20


def serve() -> None:
    """Answer requests until there are no more."""
    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415 - before the bounds

    bound_this_process()
    with os.fdopen(0, encoding="utf-8") as requests, os.fdopen(1, "w", encoding="utf-8") as replies:
        replies.write("\n")  # what takes its time is imported, and the asker's clock may begin
        replies.flush()
        for request in requests:
            replies.write(json.dumps(reply_to(json.loads(request), render_jinja_template)) + "\n")
            replies.flush()


def bound_this_process() -> None:
    """Bound memory and processor time where the system lets a process do so."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such module, and macOS bounds no memory
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_SECONDS, LONGEST_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def reply_to(request: dict[str, Any], render: Any) -> dict[str, str]:
    """Return the rendered text, or the fault in words."""
    try:
        [text], _ = render(
            conversations=[request["messages"]],
            chat_template=request["template"],
            add_generation_prompt=request["add_generation_prompt"],
            **request["named_tokens"],
        )
    except MemoryError:
        return {"fault": f"it needs more than {MEMORY_BYTES >> 20} MiB of memory"}
    except Exception as fault:  # a template can fail in any way that a program can
        return {"fault": str(fault)[:LONGEST_TEXT] or type(fault).__name__}
    if len(text) > LONGEST_TEXT:
        return {"fault": f"it writes {len(text):,} characters, and {LONGEST_TEXT:,} are allowed"}
    return {"text": text}


if __name__ == "__main__":
    serve()
