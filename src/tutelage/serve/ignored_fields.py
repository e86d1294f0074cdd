"""Fields of requests that this server offers nothing for, and the values of them that ask for nothing."""

from tutelage.serve.fields import NOTHING, Ignored, is_number, one_of

_nothing = one_of(*NOTHING)
_no_penalty = Ignored(one_of(*NOTHING, 0), "penalties are not offered")
_no_repetition_penalty = Ignored(one_of(*NOTHING, 1), "penalties are not offered")
_no_tools = Ignored(_nothing, "calls of tools are not offered")
_no_choice_of_tools = Ignored(one_of(*NOTHING, "none", "auto"), "calls of tools are not offered")
_no_audio = Ignored(_nothing, "audio is not offered")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_plain_format(value: object) -> bool:
    return value in NOTHING or value == {"type": "text"}


def _biases_nothing(value: object) -> bool:
    if isinstance(value, dict):
        return all(is_number(bias) and bias == 0 for bias in value.values())
    return _nothing(value)


# Some name the user or help a cache, and some say what this server does anyhow.
OF_REQUESTS = {
    "audio": _no_audio,
    "best_of": Ignored(one_of(*NOTHING, 1), "a request gets one answer"),
    "echo": Ignored(one_of(*NOTHING, False), "the prompt is not repeated"),
    "frequency_penalty": _no_penalty,
    "function_call": _no_choice_of_tools,
    "functions": _no_tools,
    "ignore_eos": Ignored(one_of(*NOTHING, False), "an answer ends where the model ends it"),
    "logit_bias": Ignored(_biases_nothing, "biases of tokens are not offered"),
    "metadata": Ignored(lambda value: isinstance(value, dict), "it can only be an object"),
    "min_p": Ignored(one_of(*NOTHING, 0), "tokens are chosen by temperature and top_p alone"),
    "modalities": Ignored(one_of(*NOTHING, ["text"]), "answers are text alone"),
    "moderation": Ignored(_nothing, "answers are not moderated"),
    "n": Ignored(one_of(*NOTHING, 1), "a request gets one answer"),
    "parallel_tool_calls": Ignored(one_of(*NOTHING, True, False), "calls of tools are not offered"),
    "prediction": Ignored(_nothing, "predicted answers are not offered"),
    "presence_penalty": _no_penalty,
    "prompt_cache_key": Ignored(_is_text, "it can only be a text"),
    "prompt_cache_options": Ignored(_nothing, "prompts are kept in memory alone"),
    "prompt_cache_retention": Ignored(one_of(*NOTHING, "in_memory"), "prompts are kept in memory alone"),
    "reasoning_effort": Ignored(one_of(*NOTHING, "none"), "reasoning before the answer is not offered"),
    "repeat_penalty": _no_repetition_penalty,
    "repetition_penalty": _no_repetition_penalty,
    "response_format": Ignored(
        _is_plain_format,
        "answers are plain text, and no form is enforced (a message can ask for JSON)",
    ),
    "safety_identifier": Ignored(_is_text, "it can only be a text"),
    "service_tier": Ignored(one_of(*NOTHING, "auto", "default"), "all requests are served alike"),
    "store": Ignored(one_of(*NOTHING, False), "nothing that is asked is kept"),
    "suffix": Ignored(_nothing, "texts are gone on with at their end alone"),
    "tool_choice": _no_choice_of_tools,
    "tools": _no_tools,
    "top_k": Ignored(one_of(*NOTHING, 0, -1), "tokens are chosen by temperature and top_p alone"),
    "user": Ignored(_is_text, "it can only be a text"),
    "verbosity": Ignored(one_of(*NOTHING, "medium"), "how long answers are is not a setting"),
    # An empty object asks for a search with the usual options.
    "web_search_options": Ignored(lambda value: False, "searches are not offered"),
}

# A reply that is sent back brings most of these.
OF_MESSAGES = {
    "annotations": Ignored(_nothing, "of a message only its content is read"),
    "audio": _no_audio,
    "function_call": Ignored(_nothing, "calls of tools are not offered"),
    "name": Ignored(_is_text, "it can only be a text"),
    "prefix": Ignored(one_of(*NOTHING, False), "an answer cannot be begun for the model"),
    "refusal": Ignored(_nothing, "of a message only its content is read"),
    "tool_call_id": Ignored(_is_text, "it can only be a text"),
    "tool_calls": _no_tools,
}
