"""A metric of named sets that stands outside of the program: whether an answer outgrows every reference of its set."""

from tutelage.evaluation.metrics.metric import right_or_wrong


def _longest(settings, references, name):
    return max(len(text) for _, text in references)


def _is_short_enough(answer, settings, longest):
    return len(answer["response"]) <= longest


SET_METRIC = right_or_wrong(
    "short_enough",
    "Short enough",
    "share no longer than the longest reference",
    _is_short_enough,
    prepare=_longest,
)
