"""ROUGE-L: the longest run of words that an answer shares with the reference, gaps allowed."""

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from tutelage.evaluation.metrics.exact_match import exact_match
from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets
from tutelage.evaluation.metrics.words import words


def rouge_l(response: str, reference: str) -> float:
    """Return the F-measure of the longest common subsequence of words, 0 to 1 (Lin 2004).

    Where one side has no word at all only equality counts, as in `token_f1`; rouge-score would give two equal ones 0.
    """
    if not words(response) or not words(reference):
        return float(exact_match(response, reference))
    return float(_ROUGE.score(reference, response)["rougeL"].fmeasure)


class _Words(Tokenizer):
    """Gives rouge-score our words: its own tokenizer drops every letter outside a-z."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


_ROUGE = RougeScorer(["rougeL"], tokenizer=_Words())

METRIC = AnswerMetric(
    name="rouge_l",
    label="ROUGE-L",
    unit="points",
    higher_is_better=True,
    decimals=1,
    meaning="longest run of words shared with the reference in the same order, gaps allowed",
    score=lambda answer: 100 * rouge_l(answer["response"], answer["reference"]),
)
SET_METRIC = for_sets(METRIC)
