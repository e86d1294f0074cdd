"""Renders chat templates in a process of its own, which is run by its path: one request a line, and one reply.

A template is a program out of a model's folder. transformers keeps it in a sandbox, in which it may still loop for ever
or make a text of any length; so the memory here is bounded, and whoever asks ends the process when it takes too long.
"""

import json
import os
import threading
from typing import Any

from tutelage.system.platforms import bound_this_process, memory_bytes

MEMORY_BYTES = 2**29  # four times what the libraries below take
LONGEST_SECONDS = (
    60  # of the processor, in all: a loop ends though whoever asked was killed and cannot end it
)
LONGEST_TEXT = 2**20
UNDER_WAY, REPLYING = threading.Event(), threading.Lock()
TOO_MUCH_MEMORY = {"fault": f"it needs more than {MEMORY_BYTES >> 20} MiB of memory"}


def serve() -> None:
    """Answer requests until there are no more."""
    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415 - before the bounds

    bound_this_process(seconds=LONGEST_SECONDS, memory=MEMORY_BYTES, exceeded=end_with_a_reply)
    with os.fdopen(0, encoding="utf-8") as requests, os.fdopen(1, "w", encoding="utf-8") as responses:
        responses.write("\n")  # what takes its time is imported, and the asker's clock may begin
        responses.flush()
        for request in requests:
            UNDER_WAY.set()
            reply = reply_to(json.loads(request), render_jinja_template)
            if (
                memory_bytes() > MEMORY_BYTES
            ):  # which not every system refuses, and whoever looks may have come late
                reply = TOO_MUCH_MEMORY
            with REPLYING:
                UNDER_WAY.clear()
                responses.write(json.dumps(reply) + "\n")
                responses.flush()


def end_with_a_reply() -> None:
    """Reply to the request under way that it needs more memory than there is, and end this process."""
    with REPLYING:
        if UNDER_WAY.is_set():
            os.write(1, (json.dumps(TOO_MUCH_MEMORY | {"ends": "with this reply"}) + "\n").encode())
            os._exit(1)


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
        return TOO_MUCH_MEMORY
    except Exception as fault:  # a template can fail in any way that a program can
        return {"fault": str(fault)[:LONGEST_TEXT] or type(fault).__name__}
    if len(text) > LONGEST_TEXT:
        return {"fault": f"it wrote {len(text):,} characters, but the limit is {LONGEST_TEXT:,}"}
    return {"text": text}


if __name__ == "__main__":
    serve()
