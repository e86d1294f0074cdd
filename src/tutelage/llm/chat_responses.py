"""Read chat responses in the formats of OpenAI and Ollama."""

from collections.abc import Collection, Mapping
from typing import Any

from tutelage.errors import LanguageModelError
from tutelage.llm.model_names import ModelName, is_same_model
from tutelage.llm.reply_texts import without_thoughts
from tutelage.llm.server_errors import error_in
from tutelage.llm.server_responses import PassingError, Reply, brief, count_of
from tutelage.text.credentials import without_own_key

THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # where servers put reasoning beside the reply


def completion_reply(body: Any) -> Reply:
    """Read a chat completion; raise PassingError if the body is not one."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text, has_thought = _text_of(message)
    except (LookupError, TypeError, AttributeError) as fault:
        said = error_in(body).text
        told = f"it returned no chat completion{f', but an error: {brief(said)}' if said else ''}"
        raise PassingError("llm.malformed_response", told) from fault
    usage = body.get("usage")
    used = usage if isinstance(usage, dict) else {}
    is_cut = str(choice.get("finish_reason")).casefold() in ("length", "max_tokens")
    return _reply(text, used, is_cut=is_cut, has_thought=has_thought or _reasoned(used))


def ollama_reply(body: Any) -> Reply:
    """Read a response from Ollama's /api/chat; raise PassingError if it is invalid."""
    try:
        text, has_thought = _text_of(body["message"])
    except (LookupError, TypeError, AttributeError) as fault:
        raise PassingError("llm.malformed_response", "it returned no chat response") from fault
    used = {"prompt_tokens": body.get("prompt_eval_count"), "completion_tokens": body.get("eval_count")}
    is_cut = body.get("done_reason") == "length"
    return _reply(text, used, is_cut=is_cut, has_thought=has_thought)


def other_name(answered: object, parts: ModelName, aliases: Collection[str]) -> str | None:
    """Return the name of the answering model if it differs, "" if there is none, None if it is the same.

    Raise LanguageModelError if it is a different model, because scores must be attributed to the right one.
    """
    name = answered.strip() if isinstance(answered, str) else ""
    if not name:
        return ""
    if name.casefold() == parts.model.casefold():
        return None
    shown = brief(name)
    if is_same_model(parts.model, name, aliases):
        return shown
    raise LanguageModelError(
        "llm.other_model_answered",
        f"{parts.place} answered with the model {shown} instead of {parts.model}. Use the model that is"
        f" there: {parts.kind}:{shown}@{parts.place}. If it is another name for the same model, accept it"
        f" with evaluation.judge_aliases=['{shown}'], or with --alias {shown} in the data commands.",
    )


def _reply(text: str, used: Mapping[str, Any], *, is_cut: bool, has_thought: bool) -> Reply:
    tokens_in, tokens_out = _counts(used, text)
    # A server that echoes request headers must not get the key into a file.
    return Reply(without_own_key(text), tokens_in, tokens_out, is_cut=is_cut, has_thought=has_thought)


def _text_of(message: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the text of a message, and whether it comes with reasoning."""
    content = message["content"] if "content" in message else message.get("refusal")
    has_thought = any(bool(message.get(name)) for name in THOUGHTS)
    if isinstance(content, list):  # in parts, as some vendors send it
        parts = [part for part in content if isinstance(part, dict)]
        has_thought |= any(part.get("type") in ("thinking", "reasoning") for part in parts)
        content = "".join(str(part.get("text") or "") for part in parts if part.get("type") == "text")
    text = content if isinstance(content, str) else ""
    return text, has_thought or without_thoughts(text) != text


def _counts(used: Mapping[str, Any], text: str) -> tuple[int | None, int | None]:
    """Return the input and output tokens; None for an implausible count.

    Some servers include reasoning tokens, which they charge for, only in the total.
    """
    tokens_in, tokens_out, total = (
        count_of(used.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if tokens_in is not None and tokens_out is not None and total is not None:
        tokens_out = max(tokens_out, total - tokens_in)
    return tokens_in or None, None if tokens_out == 0 and text else tokens_out


def _reasoned(used: Mapping[str, Any]) -> bool:
    details = used.get("completion_tokens_details")
    return isinstance(details, dict) and bool(count_of(details.get("reasoning_tokens")))
