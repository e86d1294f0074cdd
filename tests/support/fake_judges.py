"""Judges by rule: a fair one, and some that are rigged; each reads what it is asked and replies as a model would."""

import json
from collections.abc import Callable
from typing import Any

from support.scripted_server import Answer, Script, completion

# Gives a score to an answer; it also sees the reference.
Grade = Callable[[str, str], int]
Prefer = Callable[[int, int, dict[str, str]], str]


def fair(answer: str, reference: str) -> int:
    """100 for the reference, 60 for an answer that holds it, else 0."""
    return 100 if answer.strip() == reference.strip() else 60 if reference.strip() in answer else 0


def by_score(first: int, second: int, data: dict[str, str]) -> str:
    return "tie" if first == second else "first" if first > second else "second"


def reply(body: dict[str, Any], *, grade: Grade = fair, prefer: Prefer = by_score) -> str:
    """Return the reply to the body of a chat request, whichever of the two questions it asks."""
    data = data_of(body["messages"][1]["content"])
    if "answer" in data:
        return json.dumps({"score": grade(data["answer"], data["reference"])})
    scores = [grade(data[place], data["reference"]) for place in ("first", "second")]
    return json.dumps({"better": prefer(scores[0], scores[1], data)})


def data_of(message: str) -> dict[str, str]:
    """Return what stands between the fences of a message."""
    fence, _, rest = message.partition("\n")
    return json.loads(rest.removesuffix(f"\n{fence}"))


def judge_script(*, grade: Grade = fair, prefer: Prefer = by_score) -> Script:
    """Answer as an OpenAI-compatible server with such a judge."""

    def script(body: dict[str, Any]) -> Answer:
        return completion(reply(body, grade=grade, prefer=prefer))

    return script


# The four of property 43, and one that never prefers anything.
RIGGED: dict[str, Script] = {
    "always 90": judge_script(grade=lambda answer, reference: 90),
    "longer is better": judge_script(grade=lambda answer, reference: min(100, len(answer))),
    "first is better": judge_script(prefer=lambda first, second, data: "first"),
    "obeys": judge_script(
        grade=lambda answer, reference: 100 if "100" in answer else fair(answer, reference)
    ),
    "never prefers": judge_script(prefer=lambda first, second, data: "tie"),
}
