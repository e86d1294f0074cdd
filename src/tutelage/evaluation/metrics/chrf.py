"""chrF: the pieces of one to six characters that an answer shares with the reference."""

import unicodedata

from sacrebleu.metrics.chrf import CHRF

from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets


def chrf(response: str, reference: str) -> float:
    """Return the sentence chrF of sacrebleu, 0 to 100 (Popović 2015: six characters, beta 2), of composed texts."""
    composed = [unicodedata.normalize("NFC", text) for text in (response, reference)]
    return _CHRF.sentence_score(composed[0], [composed[1]]).score


_CHRF = CHRF()

METRIC = AnswerMetric(
    name="chrf",
    label="chrF",
    unit="points",
    higher_is_better=True,
    decimals=1,
    meaning="character n-grams (1 to 6) shared with the reference; tolerant of spelling and endings",
    score=lambda answer: chrf(answer["response"], answer["reference"]),
)
SET_METRIC = for_sets(METRIC)
