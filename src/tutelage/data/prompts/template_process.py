"""Render chat templates in a separate process, started by path: one request and one reply per line.

A template is a program from a model folder. transformers runs it in a sandbox, but it can still loop forever or
produce text of any length. So memory is limited here, and the parent kills the process if it takes too long.
"""

import json
import os
import threading
from typing import Any

from tutelage.system.platforms import bound_this_process, memory_bytes

MEMORY_BYTES = 2**29  # four times what the libraries below need
LONGEST_SECONDS = 60  # of CPU time in total: stops a loop even if the parent was killed
LONGEST_TEXT = 2**20
UNDER_WAY, REPLYING = threading.Event(), threading.Lock()
TOO_MUCH_MEMORY = {"fault": f"it needs more than {MEMORY_BYTES >> 20} MiB of memory"}


def serve() -> None:
    """Answer requests until the input is closed."""
    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415 - before the limits

    bound_this_process(seconds=LONGEST_SECONDS, memory=MEMORY_BYTES, exceeded=end_with_a_reply)
    with os.fdopen(0, encoding="utf-8") as requests, os.fdopen(1, "w", encoding="utf-8") as responses:
        responses.write("\n")  # the slow import is done, so the parent can start its timer
        responses.flush()
        for request in requests:
            UNDER_WAY.set()
            reply = reply_to(json.loads(request), render_jinja_template)
            if (
                memory_bytes() > MEMORY_BYTES
            ):  # not every system enforces the limit, and a watcher may be late
                reply = TOO_MUCH_MEMORY
            with REPLYING:
                UNDER_WAY.clear()
                responses.write(json.dumps(reply) + "\n")
                responses.flush()


def end_with_a_reply() -> None:
    """Answer the current request with an out-of-memory fault, and end this process."""
    with REPLYING:
        if UNDER_WAY.is_set():
            os.write(1, (json.dumps(TOO_MUCH_MEMORY | {"ends": "with this reply"}) + "\n").encode())
            os._exit(1)


def reply_to(request: dict[str, Any], render: Any) -> dict[str, str]:
    """Return the rendered text or the fault."""
    try:
        [text], _ = render(
            conversations=[request["messages"]],
            chat_template=request["template"],
            add_generation_prompt=request["add_generation_prompt"],
            **request["named_tokens"],
        )
    except MemoryError:
        return TOO_MUCH_MEMORY
    except Exception as fault:  # a template can fail like any program
        return {"fault": str(fault)[:LONGEST_TEXT] or type(fault).__name__}
    if len(text) > LONGEST_TEXT:
        return {"fault": f"it wrote {len(text):,} characters, but the limit is {LONGEST_TEXT:,}"}
    return {"text": text}


if __name__ == "__main__":
    serve()
