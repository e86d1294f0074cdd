"""Token F1: the words that an answer shares with the reference, in any order."""

from collections import Counter

from tutelage.evaluation.metrics.exact_match import exact_match
from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets
from tutelage.evaluation.metrics.words import words


def token_f1(response: str, reference: str) -> float:
    """Return the harmonic mean of precision and recall over the multiset of words, 0 to 1.

    After Rajpurkar et al. 2016 (SQuAD), without its list of English articles, so that every language is
    treated alike. Where one side has no word at all, as in "+" or an empty text, only equality counts.
    """
    given, wanted = Counter(words(response)), Counter(words(reference))
    if not given or not wanted:
        return float(exact_match(response, reference))
    shared = (given & wanted).total()
    return 2 * shared / (given.total() + wanted.total())


METRIC = AnswerMetric(
    name="token_f1",
    label="Token F1",
    unit="points",
    higher_is_better=True,
    decimals=1,
    meaning="words shared with the reference, in any order; 0 none, 100 all and no others",
    score=lambda answer: 100 * token_f1(answer["response"], answer["reference"]),
)
SET_METRIC = for_sets(METRIC)
