"""What a judge said to one question, and the reasons why it said nothing that counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.codes import Message
from tutelage.evaluation.judge.responses import UnreadableReplyError, Value
from tutelage.llm.server_responses import Reply


@dataclass(frozen=True)
class Judgement:
    """What a judge said to one question: a value, or None with the reason, and each of its replies as it came.

    `is_unasked` tells that the question, or a retry of it, has no reply yet, so that the same command may bring one;
    `is_left_out` that nothing hangs on it any more. `faults` says why each unreadable reply counts for nothing,
    `models` who answered if by another name than was asked, `left_out` what of the question the server did not take.
    """

    value: Value | None
    reason: str | None
    responses: tuple[str, ...]
    is_unasked: bool = False
    code: str | None = None  # of the reason
    is_left_out: bool = False
    faults: tuple[Message, ...] = ()
    models: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


LEFT_OUT = Judgement(
    None,
    "not asked: the self-test could not pass any more",
    (),
    code="judge.self_test_failed",
    is_left_out=True,
)


def fault_of(reply: Reply, unreadable: UnreadableReplyError, max_tokens: int) -> Message:
    """Return why a reply cannot be read; where the limit of tokens is the cause, that."""
    if not reply.is_cut:
        return Message(unreadable.code, str(unreadable))
    if unreadable.code == "judge.reply_empty":
        told = f"the reply is empty, because reasoning used all {max_tokens} tokens"
        return Message("judge.reply_only_thoughts", told)
    return Message("judge.reply_cut", f"the reply was cut at {max_tokens} tokens")


REMEDIES = {
    "judge.reply_only_thoughts": "raise evaluation.judge_max_tokens, or turn its thinking off",
    "judge.reply_cut": "raise evaluation.judge_max_tokens",
}


def commonest_fault(judgements: Sequence[Judgement]) -> Message | None:
    """Say how many replies could not be read for the commonest reason, with its remedy; None if all could be read."""
    faults = [fault for judgement in judgements for fault in judgement.faults]
    if not faults:
        return None
    ((code, count),) = Counter(fault.code for fault in faults).most_common(1)
    text = next(fault.text for fault in faults if fault.code == code)
    told = _of_several(text, count)
    remedy = REMEDIES.get(code)
    return Message(code, f"{told}; {remedy}" if remedy else told)


def _of_several(text: str, count: int) -> str:
    for one, several in (("the reply is ", "replies are "), ("the reply was ", "replies were ")):
        if text.startswith(one):
            return f"{count} {several if count > 1 else one.removeprefix('the ')}{text.removeprefix(one)}"
    return f"of {count} {'replies' if count > 1 else 'reply'} {text}"


def unanswered_note(judgements: Sequence[Judgement]) -> Message | None:
    """Say how many questions have no reply yet, and why the last; None where all have one."""
    unasked = [judgement.reason for judgement in judgements if judgement.is_unasked]
    if not unasked:
        return None
    told = f"{len(unasked)} requests have no response yet; the last: {unasked[-1]}"
    return Message("judge.requests_left", told)


def notes_on(judgements: Sequence[Judgement], asked_for: str) -> list[Message]:
    """Return what is to be known of how a judge was asked, who answered, and what has no reply."""
    notes = []
    names = names_of(judgements)
    if names:
        told = ", ".join(name or "no name" for name in names)
        notes.append(Message("judge.answered_as", f"Asked for {asked_for}, the server answered as {told}."))
    lost = sorted({part for judgement in judgements for part in judgement.left_out})
    if lost:
        told = " and ".join(_PARTS.get(part, part) for part in lost)
        notes.append(Message("judge.asked_otherwise", f"The server refuses {told}, so it was asked without."))
    unasked = unanswered_note(judgements)
    return [*notes, unasked] if unasked else notes


def names_of(judgements: Sequence[Judgement]) -> list[str]:
    """Return the other names that answered, "" for none, each once."""
    return sorted({name for judgement in judgements for name in judgement.models})


_PARTS = {
    "json_schema": "a JSON schema for its reply",
    "seed": "a seed",
    "temperature": "a temperature of 0, by which the same question would have the same reply",
}
