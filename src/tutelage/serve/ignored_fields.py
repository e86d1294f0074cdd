"""Fields of requests that this server offers nothing for, and the values of them that ask for nothing."""

from tutelage.serve.fields import NOTHING, Idle, is_number, one_of

_nothing = one_of(*NOTHING)
_no_penalty = Idle(one_of(*NOTHING, 0), "penalties are not offered")
_no_repetition_penalty = Idle(one_of(*NOTHING, 1), "penalties are not offered")
_no_tools = Idle(_nothing, "calls of tools are not offered")
_no_choice_of_tools = Idle(one_of(*NOTHING, "none", "auto"), "calls of tools are not offered")
_no_audio = Idle(_nothing, "audio is not offered")


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
    "best_of": Idle(one_of(*NOTHING, 1), "a request gets one answer"),
    "echo": Idle(one_of(*NOTHING, False), "the prompt is not repeated"),
    "frequency_penalty": _no_penalty,
    "function_call": _no_choice_of_tools,
    "functions": _no_tools,
    "ignore_eos": Idle(one_of(*NOTHING, False), "an answer ends where the model ends it"),
    "logit_bias": Idle(_biases_nothing, "biases of tokens are not offered"),
    "metadata": Idle(lambda value: isinstance(value, dict), "it can only be an object"),
    "min_p": Idle(one_of(*NOTHING, 0), "tokens are chosen by temperature and top_p alone"),
    "modalities": Idle(one_of(*NOTHING, ["text"]), "answers are text alone"),
    "moderation": Idle(_nothing, "answers are not moderated"),
    "n": Idle(one_of(*NOTHING, 1), "a request gets one answer"),
    "parallel_tool_calls": Idle(one_of(*NOTHING, True, False), "calls of tools are not offered"),
    "prediction": Idle(_nothing, "predicted answers are not offered"),
    "presence_penalty": _no_penalty,
    "prompt_cache_key": Idle(_is_text, "it can only be a text"),
    "prompt_cache_options": Idle(_nothing, "prompts are kept in memory alone"),
    "prompt_cache_retention": Idle(one_of(*NOTHING, "in_memory"), "prompts are kept in memory alone"),
    "reasoning_effort": Idle(one_of(*NOTHING, "none"), "reasoning before the answer is not offered"),
    "repeat_penalty": _no_repetition_penalty,
    "repetition_penalty": _no_repetition_penalty,
    "response_format": Idle(
        _is_plain_format,
        "answers are plain text, and no form is enforced (a message can ask for JSON)",
    ),
    "safety_identifier": Idle(_is_text, "it can only be a text"),
    "service_tier": Idle(one_of(*NOTHING, "auto", "default"), "all requests are served alike"),
    "store": Idle(one_of(*NOTHING, False), "nothing that is asked is kept"),
    "suffix": Idle(_nothing, "texts are gone on with at their end alone"),
    "tool_choice": _no_choice_of_tools,
    "tools": _no_tools,
    "top_k": Idle(one_of(*NOTHING, 0, -1), "tokens are chosen by temperature and top_p alone"),
    "user": Idle(_is_text, "it can only be a text"),
    "verbosity": Idle(one_of(*NOTHING, "medium"), "how long answers are is not a setting"),
    # An empty object asks for a search with the usual options.
    "web_search_options": Idle(lambda value: False, "searches are not offered"),
}

# A reply that is sent back brings most of these.
OF_MESSAGES = {
    "annotations": Idle(_nothing, "of a message only its content is read"),
    "audio": _no_audio,
    "function_call": Idle(_nothing, "calls of tools are not offered"),
    "name": Idle(_is_text, "it can only be a text"),
    "prefix": Idle(one_of(*NOTHING, False), "an answer cannot be begun for the model"),
    "refusal": Idle(_nothing, "of a message only its content is read"),
    "tool_call_id": Idle(_is_text, "it can only be a text"),
    "tool_calls": _no_tools,
}
