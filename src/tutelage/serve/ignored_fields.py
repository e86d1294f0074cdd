"""Unsupported request fields, with the values that have no effect and are accepted."""

from tutelage.serve.fields import NOTHING, Ignored, is_number, one_of

_nothing = one_of(*NOTHING)
_no_penalty = Ignored(one_of(*NOTHING, 0), "penalties are not supported")
_no_repetition_penalty = Ignored(one_of(*NOTHING, 1), "penalties are not supported")
_no_tools = Ignored(_nothing, "tool calls are not supported")
_no_choice_of_tools = Ignored(one_of(*NOTHING, "none", "auto"), "tool calls are not supported")
_no_audio = Ignored(_nothing, "audio is not supported")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_plain_format(value: object) -> bool:
    return value in NOTHING or value == {"type": "text"}


def _biases_nothing(value: object) -> bool:
    if isinstance(value, dict):
        return all(is_number(bias) and bias == 0 for bias in value.values())
    return _nothing(value)


# Some identify the user or help caching, and some describe what this server does anyway.
OF_REQUESTS = {
    "audio": _no_audio,
    "best_of": Ignored(one_of(*NOTHING, 1), "a request gets one answer"),
    "echo": Ignored(one_of(*NOTHING, False), "the prompt is not repeated"),
    "frequency_penalty": _no_penalty,
    "function_call": _no_choice_of_tools,
    "functions": _no_tools,
    "ignore_eos": Ignored(one_of(*NOTHING, False), "an answer always ends at the model's end-of-turn token"),
    "logit_bias": Ignored(_biases_nothing, "logit biases are not supported"),
    "metadata": Ignored(lambda value: isinstance(value, dict), "it can only be an object"),
    "min_p": Ignored(one_of(*NOTHING, 0), "only temperature and top_p control sampling"),
    "modalities": Ignored(one_of(*NOTHING, ["text"]), "answers are text only"),
    "moderation": Ignored(_nothing, "answers are not moderated"),
    "n": Ignored(one_of(*NOTHING, 1), "a request gets one answer"),
    "parallel_tool_calls": Ignored(one_of(*NOTHING, True, False), "tool calls are not supported"),
    "prediction": Ignored(_nothing, "predicted outputs are not supported"),
    "presence_penalty": _no_penalty,
    "prompt_cache_key": Ignored(_is_text, "it can only be a string"),
    "prompt_cache_options": Ignored(_nothing, "prompts are cached in memory only"),
    "prompt_cache_retention": Ignored(one_of(*NOTHING, "in_memory"), "prompts are cached in memory only"),
    "reasoning_effort": Ignored(one_of(*NOTHING, "none"), "reasoning is not supported"),
    "repeat_penalty": _no_repetition_penalty,
    "repetition_penalty": _no_repetition_penalty,
    "response_format": Ignored(
        _is_plain_format,
        "answers are plain text, and no format is enforced (a message can ask for JSON)",
    ),
    "safety_identifier": Ignored(_is_text, "it can only be a string"),
    "service_tier": Ignored(one_of(*NOTHING, "auto", "default"), "all requests have the same priority"),
    "store": Ignored(one_of(*NOTHING, False), "requests are not stored"),
    "suffix": Ignored(_nothing, "text can only be continued at its end"),
    "tool_choice": _no_choice_of_tools,
    "tools": _no_tools,
    "top_k": Ignored(one_of(*NOTHING, 0, -1), "only temperature and top_p control sampling"),
    "user": Ignored(_is_text, "it can only be a string"),
    "verbosity": Ignored(one_of(*NOTHING, "medium"), "the length of answers is not configurable"),
    # An empty object requests a search with default options.
    "web_search_options": Ignored(lambda value: False, "web search is not supported"),
}

# Most of these are in a reply that is sent back.
OF_MESSAGES = {
    "annotations": Ignored(_nothing, "only the content of a message is read"),
    "audio": _no_audio,
    "function_call": Ignored(_nothing, "tool calls are not supported"),
    "name": Ignored(_is_text, "it can only be a string"),
    "prefix": Ignored(one_of(*NOTHING, False), "prefilling an answer is not supported"),
    "refusal": Ignored(_nothing, "only the content of a message is read"),
    "tool_call_id": Ignored(_is_text, "it can only be a string"),
    "tool_calls": _no_tools,
}
